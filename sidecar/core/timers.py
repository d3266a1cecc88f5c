"""Timers of many blocks behind one of the event loop's: one each would take 400 bytes of every caller that waits.

Nearly all are cancelled long before their time, so a cancelled one only leaves a mark, and marks are swept together.
"""

import asyncio
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Final, Protocol

_RESOLUTION: Final = 0.001
"""Seconds by which the loop's own timer may come early."""
_FEW: Final = 32
"""Cancelled timers that are left where they are."""


class Timer(Protocol):
    """Port: what can be cancelled, a timer of the loop or one of these."""

    def cancel(self) -> None: ...


class _Entry:
    """One timer."""

    __slots__ = ("_timers", "at", "callback")

    def __init__(self, at: float, callback: Callable[[], None], timers: "Timers") -> None:
        self.at = at
        self.callback: Callable[[], None] | None = callback
        self._timers = timers

    def __lt__(self, other: "_Entry") -> bool:
        return self.at < other.at

    def cancel(self) -> None:
        """Never call back; nothing happens behind the call."""
        if self.callback is not None:
            self.callback = None
            self._timers.cancelled()


class Timers:
    """Timers on the clock of the running loop; all of one object belong to one loop."""

    __slots__ = ("_due", "_entries", "_gone", "_timer")

    def __init__(self) -> None:
        self._entries: list[_Entry] = []
        self._gone = 0
        """Entries that were cancelled."""
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        """Point on the loop's clock at which its timer fires, at or before the first entry's."""

    def __len__(self) -> int:
        return len(self._entries) - self._gone

    @property
    def held(self) -> int:
        """Count the timers in memory, cancelled ones too."""
        return len(self._entries)

    def call_at(self, at: float, callback: Callable[[], None]) -> Timer:
        """Call back at a point on the loop's clock."""
        entry = _Entry(at, callback, self)
        heappush(self._entries, entry)
        if self._timer is None or at < self._due:
            self._wake_at(at)
        return entry

    def cancelled(self) -> None:
        """Count a cancelled entry, and sweep where most are."""
        self._gone += 1
        if self._gone == len(self._entries):
            self._entries.clear()
            self._gone = 0
            self._wake_at(None)
        elif self._gone > _FEW and self._gone * 2 > len(self._entries):
            self._entries = [entry for entry in self._entries if entry.callback is not None]
            heapify(self._entries)
            self._gone = 0

    def _wake_at(self, at: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if at is not None:
            self._due = at
            self._timer = asyncio.get_running_loop().call_at(at, self._fire)

    def _fire(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time() + _RESOLUTION
        try:
            while self._entries and ((first := self._entries[0]).callback is None or first.at <= now):
                heappop(self._entries)
                callback, first.callback = first.callback, None
                if callback is None:
                    self._gone -= 1
                else:
                    callback()
        finally:  # a callback may fail, or set a timer that is due later than those left
            self._wake_for_first()

    def _wake_for_first(self) -> None:
        if self._entries and (self._timer is None or self._due > self._entries[0].at):
            self._wake_at(self._entries[0].at)
