"""Layer 7, throughput: calls a second that the provider admitted, measured from one spell of refusals to the next.

A limit of calls a second, ten seconds or a minute admits everything and then nothing: while it refuses, the limit falls
far below what the provider takes. From one such spell to the next it admits what it takes in all. Plain functions, the
clock is handed in.
"""

import math
from typing import Final

from sidecar.engine.limiter.pacing import SPACING

LEAST_SPAN: Final = 1.0
"""Seconds from one spell of refusals to a later one, at least, that make a measure."""
DEEP: Final = 0.7
"""Share of the limit at the measured rate below which the limit returns to it at once."""
SILENCE: Final = 5
"""Calls at the measured rate that were missed in a silence, at least."""
AGAIN: Final = 4
"""Silences that may lie between the ends of two of them: windows are silent again and again, while a process whose
share others took is silent by chance."""
TOO_HIGH: Final = 0.75
"""Share of a rate that remains when the limit returned to it and the next spell of refusals began."""


class Throughput:
    """Rate of admitted calls, and whether the limit may return to it."""

    def __init__(self) -> None:
        self.armed = False
        """Flag: a call was refused while none ran, and none was admitted since."""
        self._rate = 0.0
        """Calls a second; 0 before the first measure."""
        self._spell = (-math.inf, 0)
        """Point on the clock, and calls admitted until then: the spell of refusals from which the next measure is
        taken."""
        self._silent_at = -math.inf
        """Point on the clock at which the last silence ended."""
        self._returned = False
        """Flag: the limit returned to the rate, and nothing was refused since."""

    def refused(self, now: float, admitted: int, *, first: bool) -> None:
        """Count a spell of refusals that begins now, after `admitted` calls in all; `first`: of the burst.

        Calls before the first spell tell nothing of the rate: a bucket was full.
        """
        if self._returned:
            self._rate, self._returned = self._rate * TOO_HIGH, False
        since, before = self._spell
        if first:
            self._rate = 0.0
        elif now - since < LEAST_SPAN:
            return
        else:
            self._rate = max(0, admitted - before) / (now - since)
        self._spell = now, admitted

    def level(self, now: float, holding: float, found: float, *, silence: float) -> float | None:
        """Return the limit at which calls follow each other at the rate; None for no higher limit.

        The limit stays where it is about as high, where the rate is below one call at a time, and unless calls were
        interrupted again and again; `silence`: seconds between the last two admitted calls.
        """
        level, again = self._rate * holding * SPACING, now - self._silent_at <= AGAIN * silence
        if not self._rate or silence * self._rate >= SILENCE:
            self._silent_at = now
        else:
            again = False
        if level <= 1 or level * DEEP <= found or not again:
            return None
        self._returned = True
        return level
