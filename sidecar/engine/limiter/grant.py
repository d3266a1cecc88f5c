"""What a limit and its gate know of one call: a grant, from the moment the call may be sent until it is over."""

from collections import deque
from collections.abc import Sequence


class Grant:
    """One call on its way, and what the limit knew when it was sent."""

    __slots__ = ("at", "ended", "generation", "number", "others", "probe")

    def __init__(self, at: float, generation: int, others: int) -> None:
        self.at = at
        self.generation = generation
        self.others = others
        """Calls that were under way already."""
        self.probe = False
        """Whether it went out above the limit."""
        self.ended = False
        self.number = 0
        """Which of all calls it is."""


class Unsettled:
    """Calls of which it is not known yet whether they were admitted, in the order they were sent."""

    def __init__(self) -> None:
        self._grants: deque[Grant] = deque()
        self._sent = 0

    def append(self, grant: Grant) -> None:
        """A call was sent."""
        self._sent += 1
        grant.number = self._sent
        self._grants.append(grant)

    def admitted(self, sent: float) -> Sequence[Grant]:
        """Those under way that were sent at this point on the clock or before; they, and those that ended, are out."""
        grants, found = self._grants, []
        while grants and (grants[0].ended or grants[0].at <= sent):
            if not (grant := grants.popleft()).ended:
                found.append(grant)
        return found


class Refusals:
    """How many calls were refused, in all and in a row of those sent one after another."""

    def __init__(self) -> None:
        self.count = 0
        self.row = 0
        self._last = 0

    def add(self, grant: Grant) -> None:
        """A call was refused."""
        self.count += 1
        self.row = self.row + 1 if grant.number - self._last <= 1 else 1
        self._last = max(self._last, grant.number)


def smoothed(before: float, seconds: float) -> float:
    """A mean of late, 0 before the first."""
    # Slower up than down: who is refused by this estimate is refused for good, who is let in may still be served.
    weight = 32 if seconds > before else 8
    return before + (seconds - before) / weight if before else seconds
