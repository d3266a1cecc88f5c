"""Progress of a stream to its caller: the end of its silence, and of a slot that nobody reads while others wait."""

import asyncio
from typing import Protocol, Self

from sidecar.core.until import Until


class Queue(Protocol):
    """Port: the calls that wait for a slot."""

    @property
    def waiting(self) -> int:
        """Count the waiting calls."""
        ...


class Movement:
    """Progress of one stream: moves the end of its silence, and looks whether its caller holds up others."""

    def __init__(self, timeout: Until, queue: Queue, *, silent: float, unread: float) -> None:
        self._timeout = timeout
        self._queue = queue
        self._silent_seconds = silent
        self._unread_seconds = unread
        self._loop = asyncio.get_running_loop()
        self._at = self._end_moved_at = self._loop.time()
        self._sending = False
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> Self:
        self._look_later()
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def sends(self) -> None:
        """Record that an event goes to the caller."""
        self._sending = True

    def moved(self) -> None:
        """Record that an event came or was taken."""
        self._sending = False
        self._at = self._loop.time()
        # A timer for every event would cost more than the event.
        if self._at - self._end_moved_at > self._silent_seconds / 16:
            self._end_moved_at = self._at
            self._timeout.move(self._at + self._silent_seconds)

    def _look_later(self) -> None:
        self._timer = self._loop.call_later(self._unread_seconds / 4, self._look)

    def _look(self) -> None:
        now = self._loop.time()
        if self._sending and now - self._at >= self._unread_seconds and self._queue.waiting:
            self._timeout.move(now)
        else:
            self._look_later()
