"""Layer 7, spacing: calls that follow each other evenly, although timers come late. Plain functions without a clock."""

import math
from typing import Final

SPACING: Final = 0.9
"""Of the even distance between calls (seconds a call is held / limit), so that the limit is what binds."""
LAG: Final = 0.004
"""Seconds by which a call may be sent too late and the next be none the later for it: timers are not exact."""


def distance(holding: float, limit: float) -> float:
    """Seconds between two calls that hold a slot for `holding` seconds each."""
    return holding / limit * (SPACING if limit >= 1 else 1.0)


class Spacing:
    """When the last call was sent, or should have been."""

    def __init__(self) -> None:
        self.last = -math.inf
        self._before = -math.inf
        self._awaited = math.inf
        """The point that was waited for, to send the next call."""

    def asked(self, now: float, room: float) -> None:
        """The next call may be sent at the point `room`; infinity: not by time alone."""
        if room > now:
            self._awaited = room

    def sent(self, now: float, gap: float, *, probe: bool) -> None:
        """A call is sent now; `gap` is the distance between two, in seconds."""
        in_turn = 0 <= now - self._awaited < LAG and not probe
        self._before, self.last = self.last, self._awaited if in_turn else now
        self._awaited = self.last + gap if in_turn else math.inf

    def undone(self) -> None:
        """The call sent last keeps no other from being sent in time."""
        self.last = self._before
