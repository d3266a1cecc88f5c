"""Retries of one call: their count, the pause before each, and the providers that the call passes over."""

from typing import Final

from sidecar.core.ports import Traffic
from sidecar.engine.limiter.provider import Passed

MOST_RETRIES: Final = 8
"""Retries of one call that did not reach the provider, at most; the deadline usually ends them sooner."""


class Retries:
    """Retries of one call after attempts that did not reach the provider."""

    __slots__ = ("count", "once", "passed", "traffic")

    def __init__(self, traffic: Traffic, passed: Passed | None) -> None:
        self.traffic: Traffic = traffic
        self.passed = passed
        """The providers that the call passes over; None where there is one provider."""
        self.count = 0
        self.once = False
        """Flag: the single retry after a failure with `once` is used up."""


def backoff(attempt: int, chance: float) -> float:
    """Return the seconds before retry `attempt` (from 0): 0.2 s doubling to 5 s, half of it times `chance` (0 to 1)."""
    return min(5.0, 0.2 * 2.0**attempt) * (0.5 + chance / 2)
