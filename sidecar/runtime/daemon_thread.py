"""Blocking work in a daemon thread of its own.

asyncio's executor is waited for at the end of the process, and a caller reads this process's output to its end. Also,
its threads are few: work that hangs would take one away from the rest.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def in_daemon_thread(work: Callable[[], T], name: str, errors: tuple[type[Exception], ...]) -> T:
    """Return what `work` returns, or raise what it raises of `errors`; any other exception is a `RuntimeError` here.

    The thread goes on after a cancellation, and its result is dropped.
    """
    loop = asyncio.get_running_loop()
    found: asyncio.Future[T] = loop.create_future()

    def settle(ended: list[T] | Exception) -> None:
        if found.done():
            return
        if isinstance(ended, Exception):
            found.set_exception(ended)
        else:
            found.set_result(ended[0])

    def run() -> None:
        ended: list[T] | Exception = RuntimeError(f"{name}: failed")
        try:
            ended = [work()]
        except errors as exc:
            ended = exc
        finally:
            with contextlib.suppress(RuntimeError):  # the loop may be closed by now
                loop.call_soon_threadsafe(settle, ended)

    threading.Thread(target=run, name=name, daemon=True).start()
    return await found
