"""Time limit of a block: `asyncio.timeout_at` at half its cost, as nearly every request has two and none ends by them.

It is entered without `async`, and what it does is a timer that cancels the task.
"""

import asyncio
from types import TracebackType
from typing import Self

from sidecar.core.timers import Timer


class Until:
    """Ends its block at a point on the loop's clock, and then raises `TimeoutError`. The point may move."""

    __slots__ = ("_cancelling", "_expired", "_task", "_timer", "at")

    def __init__(self, at: float) -> None:
        self.at = at
        """Point on the loop's clock, in seconds; infinity for never."""
        self._expired = False
        self._timer: Timer | None = None

    def __enter__(self) -> Self:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a block that can end has a task
        self._task, self._cancelling = task, task.cancelling()
        self.move(self.at)
        return self

    def move(self, at: float) -> None:
        """End the block at another point, which may have passed."""
        self.at = at
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._timer_at(at) if at != _NEVER and not self._expired else None

    def _timer_at(self, at: float) -> Timer:
        return asyncio.get_running_loop().call_at(at, self._expire)

    def _expire(self) -> None:
        self._timer, self._expired = None, True
        self._task.cancel()

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        # A task that somebody else cancels too in the same turn stays cancelled.
        if self._expired and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from exc


_NEVER = float("inf")
