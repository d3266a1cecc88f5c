"""Work on large values away from the event loop, in one thread: parsing, hashing, searching.

One thread and no more: C code such as a JSON parser holds the GIL, and the loop would wait for each of several threads
in turn.
"""

import asyncio
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

THREAD_BYTES: Final = 128 * 1024
"""Values from this size on are worth the 0.1 ms of a thread."""

Result = TypeVar("Result")


async def off_loop(size: int, work: Callable[..., Result], *arguments: object) -> Result:
    """Return what `work` returns for the arguments; from `THREAD_BYTES` of `size` on, in the thread."""
    if size < THREAD_BYTES:
        return work(*arguments)
    return await asyncio.get_running_loop().run_in_executor(_thread(), work, *arguments)


@cache
def _thread() -> "ThreadPoolExecutor":
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - late: the one-shot process seldom needs it

    return ThreadPoolExecutor(1, thread_name_prefix="large values")
