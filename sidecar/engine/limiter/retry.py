"""Retry rule: which failed calls get another attempt, how many, and after which pause. The SDKs' own retries are off.

A refused call costs nothing and is retried as soon as the gate lets it. A call that did not reach the provider pauses
with exponential backoff. A call that the provider may have begun to work on, and so may charge for, is never retried.
"""

from typing import Final

from sidecar.core.errors import UpstreamFailure
from sidecar.core.reach import Reach
from sidecar.engine.limiter.crowding import RETRIES as CROWDED_RETRIES
from sidecar.engine.limiter.provider import Passed
from sidecar.engine.limiter.ticket import Ticket
from sidecar.engine.limiter.trace import Trace

MOST_RETRIES: Final = 8
"""Retries of one call that did not reach the provider, at most; the deadline usually ends them sooner."""


class Retries:
    """Retries of one call."""

    __slots__ = ("_count", "_once", "attempts", "passed", "reach", "unattended")

    def __init__(self, reach: Reach, passed: Passed | None, *, unattended: bool = False) -> None:
        self.reach = reach
        self.unattended = unattended
        """Flag: nobody waits for the answer."""
        self.passed = passed
        """The providers that the call passes over; None where there is one provider."""
        self.attempts = 0
        """Attempts made."""
        self._count = 0
        self._once = False
        """Flag: the single retry after a failure with `once` is used up."""

    def count_earlier(self, ticket: Ticket, trace: Trace) -> None:
        """Count the attempt that a serving process made before, if there is one, and raise its failure."""
        if (earlier := ticket.earlier) is None:
            return
        ticket.earlier = None
        self.attempts += 1
        trace.calls += 1
        trace.upstream += earlier.seconds
        trace.refused += earlier.failure.scope == "capacity"
        raise earlier.failure

    def pause_after(self, failure: UpstreamFailure) -> float | None:
        """Return the seconds before the next attempt, 0 where the gate decides, None where the failure is final."""
        if not failure.retryable:
            return None
        if failure.scope == "capacity":
            return 0.0
        if self._count >= (CROWDED_RETRIES if failure.crowded else MOST_RETRIES) or (failure.once and self._once):
            return None
        from random import random  # noqa: PLC0415 - late: it costs the one-shot process milliseconds

        named = 0.0 if failure.vague else failure.retry_after or 0.0
        pause = max(named, backoff(self._count, random()))  # noqa: S311
        self._count, self._once = self._count + 1, self._once or failure.once
        return pause


def backoff(attempt: int, chance: float) -> float:
    """Return the seconds before retry `attempt` (from 0): 0.2 s doubling to 5 s, half of it times `chance` (0 to 1)."""
    return min(5.0, 0.2 * 2.0**attempt) * (0.5 + chance / 2)
