"""Rate per second over the last seconds: counts in a ring of one-second buckets."""

from collections.abc import Callable
from typing import Final

WINDOW: Final = 10
"""Seconds over which the mean is taken."""


class Rate:
    """Counter of events with their mean rate over the last whole seconds of the window."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._second = int(clock())
        self._counts = [0] * (WINDOW + 1)

    def count(self) -> None:
        """Count one event now."""
        self._turn()
        self._counts[self._second % len(self._counts)] += 1

    def per_second(self) -> float:
        """Return the mean over the last `WINDOW` whole seconds, without the current one."""
        self._turn()
        return (sum(self._counts) - self._counts[self._second % len(self._counts)]) / WINDOW

    def _turn(self) -> None:
        now = int(self._clock())
        for second in range(max(self._second + 1, now - WINDOW), now + 1):
            self._counts[second % len(self._counts)] = 0
        self._second = max(self._second, now)
