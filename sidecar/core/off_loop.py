"""Work on large values away from the event loop, in one thread: parsing, hashing, searching.

One thread and no more: C code such as a JSON parser holds the GIL, and the loop would wait for each of several threads
in turn. For the same reason the thread rests after a long piece of work.
"""

import asyncio
import sys
import time
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

THREAD_BYTES: Final = 128 * 1024
"""Values from this size on are worth the 0.1 ms of a thread."""
_REST_SECONDS: Final = 0.02
"""Longest rest between two pieces of work: a request takes the loop three or four rounds, each with the GIL."""

_SWITCH_SECONDS: Final = 0.001
"""Time after which the thread gives the GIL to a loop that waits; Python's own is five times as long."""

Result = TypeVar("Result")


async def off_loop(size: int, work: Callable[..., Result], *arguments: object) -> Result:
    """Return what `work` returns for the arguments; from `THREAD_BYTES` of `size` on, in the thread."""
    if size < THREAD_BYTES:
        return work(*arguments)
    worker = _worker()
    return await asyncio.get_running_loop().run_in_executor(worker.thread, worker.run, work, *arguments)


class _Worker:
    """The thread, and the point on the clock until which it rests."""

    def __init__(self, thread: "ThreadPoolExecutor") -> None:
        self.thread = thread
        self._rests_until = 0.0

    def run(self, work: Callable[..., Result], *arguments: object) -> Result:
        began = time.monotonic()
        if (rest := self._rests_until - began) > 0:
            time.sleep(rest)
            began = time.monotonic()
        try:
            return work(*arguments)
        finally:
            ended = time.monotonic()
            self._rests_until = ended + min(ended - began, _REST_SECONDS)


@cache
def _worker() -> _Worker:
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - late: the one-shot process seldom needs it

    sys.setswitchinterval(_SWITCH_SECONDS)
    return _Worker(ThreadPoolExecutor(1, thread_name_prefix="large values"))
