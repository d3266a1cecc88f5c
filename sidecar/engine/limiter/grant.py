"""Grants: the limit's and gate's record of each call, from the moment the call may be sent until its end."""

from collections import deque
from collections.abc import Sequence
from typing import Final

_REMEMBERED: Final = 256
"""Refusals that are remembered one by one."""


class Grant:
    """One granted call and the state of the limit when the call was sent."""

    __slots__ = ("at", "began", "ended", "generation", "number", "others", "probe", "recheck")

    def __init__(self, at: float, generation: int, others: int) -> None:
        self.at = at
        """Point on the clock at which the call was sent."""
        self.generation = generation
        """Generation of the limit at that point."""
        self.others = others
        """Calls that were in flight at that point."""
        self.probe = False
        """Flag: the call was sent above the limit and its outcome is open."""
        self.recheck = False
        """Flag: the call was sent at once after a refusal, to find out whether refusals come by chance."""
        self.ended = False
        self.began = False
        """Flag: the call's own answer began, so that it was admitted, however it ends."""
        self.number = 0
        """Position of the call among all calls sent, from 1."""


class Unsettled:
    """Calls in flight that are neither refused nor known to be admitted, in the order they were sent."""

    def __init__(self) -> None:
        self._grants: deque[Grant] = deque()
        self._sent = 0

    @property
    def sent(self) -> int:
        """Count all calls sent."""
        return self._sent

    @property
    def undecided(self) -> int:
        """Count the calls in flight that are neither refused nor known to be admitted."""
        return sum(not grant.ended for grant in self._grants)

    def append(self, grant: Grant) -> None:
        """Add a call that was sent, and number it."""
        self._sent += 1
        grant.number = self._sent
        self._grants.append(grant)

    def admitted(self, sent: float) -> Sequence[Grant]:
        """Take out calls sent at or before `sent` on the clock, and ended ones before them; return those in flight."""
        grants, found = self._grants, []
        while grants and (grants[0].ended or grants[0].at <= sent):
            if not (grant := grants.popleft()).ended:
                found.append(grant)
        return found


class Refusals:
    """Counts of refused calls: in all, and in a row among calls sent one after another."""

    def __init__(self) -> None:
        self.count = 0
        self.row = 0
        self._last = 0
        self._lately: deque[tuple[float, int]] = deque(maxlen=_REMEMBERED)
        """Points on the clock and numbers of the calls refused last."""

    def add(self, grant: Grant, now: float) -> None:
        """Count a call that is refused now."""
        self.count += 1
        self.row = self.row + 1 if grant.number - self._last <= 1 else 1
        self._last = max(self._last, grant.number)
        self._lately.append((now, grant.number))

    def admitted_then(self, grant: Grant) -> int:
        """Count the calls that were in flight when `grant` was sent, less those known to have been refused."""
        refused = sum(at >= grant.at and number < grant.number for at, number in self._lately)
        return max(0, grant.others - refused)


def smoothed(before: float, seconds: float) -> float:
    """Return the moving average `before` with `seconds` added; 0 stands for an empty average."""
    # Slower up than down: a caller refused by a high estimate is lost, one let in by a low one may still be served.
    weight = 32 if seconds > before else 8
    return before + (seconds - before) / weight if before else seconds
