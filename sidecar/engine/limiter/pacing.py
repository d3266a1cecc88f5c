"""Layer 7, pacing: calls spaced evenly although timers fire late. Plain functions without a clock."""

import math
from typing import Final

SPACING: Final = 0.9
"""Share of the even distance between calls (seconds a call is held / limit), so that the limit stays the bound."""
LAG: Final = 0.004
"""Seconds that a timer may fire late without delaying the call after it."""


def distance(holding: float, limit: float) -> float:
    """Return the seconds between two calls that hold a slot for `holding` seconds each."""
    return holding / limit * (SPACING if limit >= 1 else 1.0)


class Spacing:
    """Points on the clock of the last call (when it was due, if its timer fired late) and of the next one."""

    def __init__(self) -> None:
        self.last = -math.inf
        self._before = -math.inf
        self._awaited = math.inf
        """The point at which the next call is due."""

    def next_at(self, now: float, point: float) -> None:
        """Set the point from which the next call may be sent; infinity: only after a call ends."""
        if point > now:
            self._awaited = point

    def sent(self, now: float, gap: float, *, probe: bool) -> None:
        """Record a call that is sent now; `gap`: seconds between two calls."""
        in_turn = 0 <= now - self._awaited < LAG and not probe
        self._before, self.last = self.last, self._awaited if in_turn else now
        self._awaited = self.last + gap if in_turn else math.inf

    def undo(self) -> None:
        """Forget the call sent last, so that it delays no other."""
        self.last = self._before
