"""Deadlines: points on the monotonic clock, fixed at arrival and shared by reference."""

from typing import Final


class Deadline:
    """One caller's point in time."""

    __slots__ = ("at",)

    def __init__(self, at: float) -> None:
        self.at = at


class Latest:
    """The latest of several callers' points, who may come and go."""

    __slots__ = ("_of",)

    def __init__(self) -> None:
        self._of: list[Point] = []

    @property
    def at(self) -> float:
        return max((deadline.at for deadline in self._of), default=_PAST)

    def join(self, deadline: "Point") -> None:
        self._of.append(deadline)

    def leave(self, deadline: "Point") -> None:
        self._of.remove(deadline)


Point = Deadline | Latest
"""A deadline of either kind: its point in time is `at`."""

_PAST: Final = float("-inf")
