"""Layer 7, the breaker: refuses requests at once while the provider is plainly down.

Plain functions over a clock, free of await and I/O. Refusals for want of capacity belong to the limit, faults of one
request to that request: both count here as signs of life.
"""

import math
from collections import Counter
from collections.abc import Callable
from typing import Final

from sidecar.core.errors import ModelUnknown, RateLimited, SidecarError, UpstreamAuth, UpstreamError, UpstreamFailure
from sidecar.core.errors import UpstreamUnreachable as Unreachable

FAILURES_TO_OPEN: Final[dict[type[SidecarError], int]] = {
    UpstreamAuth: 3,
    ModelUnknown: 3,
    RateLimited: 3,
    Unreachable: 5,
    UpstreamError: 20,
}
"""Failures in a row, without a sign of life between, that open the breaker. Of `RateLimited` only those count whose
account is used up."""

TIMEOUTS_TO_OPEN: Final = 3
"""Timeouts in a row that open the breaker. Calls that were in flight together count as one: a timeout counts only if
its call was sent after the timeout counted before."""

LONGEST_COOLDOWN: Final = 10.0
"""Seconds between two probes of a provider that is down, at most; the first probe comes after one second."""

LONGEST_QUOTA_COOLDOWN: Final = 3600.0
"""Seconds until the next probe of a used-up account whose provider named a wait, at most."""

TIMED_OUT: Final = "The AI provider does not answer in time. Please try again later."


class Breaker:
    """Circuit breaker of one provider: closed, or open with one probe at a time while the provider is plainly down."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.opened_by: UpstreamFailure | None = None
        """The failure that opened the breaker, in a sentence fit for any caller; None while the breaker is closed."""
        self._clock = clock
        self._failures: Counter[type[UpstreamFailure]] = Counter()
        self._last: dict[type[UpstreamFailure], str] = {}
        """The sentence of the last failure of each kind."""
        self._timeouts = 0
        self._timed_out_at = -math.inf
        self._opened_at = -math.inf
        self._cooldown = 1.0
        self._probe_at = -math.inf

    def __repr__(self) -> str:
        return f"<Breaker {self.state}, {self._failures.total()} failures in a row>"

    @property
    def probe_at(self) -> float:
        """The point on the clock from which a probe of an open breaker may be sent."""
        return self._probe_at

    @property
    def state(self) -> str:
        """`closed` or `open`."""
        return "closed" if self.opened_by is None else "open"

    def refusal(self, *, idle: bool) -> UpstreamFailure | None:
        """Return the error for a new request, or None where the request is let in.

        While the breaker is open, a request is let in as a probe if no other probe is in flight (`idle`).
        """
        if self.opened_by is None or (idle and self._clock() >= self._probe_at):
            return None
        return self.opened_by

    def sent_since_opened(self, sent: float) -> bool:
        """Return whether a call that was sent at this point on the clock is a probe of an open breaker."""
        return self.opened_by is not None and sent >= self._opened_at

    def close(self) -> bool:
        """Close the breaker at a sign of life of the provider; return whether the breaker was open."""
        was_open = self.opened_by is not None
        if not (was_open or self._failures or self._timeouts):
            return False
        self._failures.clear()
        self._last.clear()
        self._timeouts = 0
        self.opened_by, self._cooldown = None, 1.0
        return was_open

    def failed(self, failure: UpstreamFailure, sent: float, *, opens: bool = True) -> None:
        """Count a failed call that was sent at this point on the clock; `opens`: the breaker may open now."""
        kind = type(failure)
        if kind not in FAILURES_TO_OPEN or failure.scope in {"request", "capacity"}:
            self.close()
            return
        if self.opened_by is not None and sent < self._opened_at:
            return  # a call sent before the breaker opened is no new evidence
        self._failures[kind] += 1
        previous, self._last[kind] = self._last.get(kind), str(failure)
        if self.opened_by is not None and kind is not type(self.opened_by):
            self.opened_by, self._cooldown = None, 1.0  # another kind of failure is counted from its own start
            return
        names_end = failure.scope == "account" and failure.retry_after is not None
        if self.opened_by is None and self._failures[kind] < FAILURES_TO_OPEN[kind] and not names_end:
            return
        if not opens:
            return
        # A sentence that two calls got cannot quote the text of one person.
        shown = kind is not UpstreamError or previous == str(failure)
        self._open(failure if shown else UpstreamError(status=failure.status))
        if names_end and failure.retry_after is not None:
            self._probe_at = self._clock() + min(failure.retry_after, LONGEST_QUOTA_COOLDOWN)

    def timed_out(self, sent: float) -> None:
        """Count a call, sent at this point on the clock, that had no answer by its deadline.

        All timeouts of calls that were in flight together count as one.
        """
        if sent < self._timed_out_at or (self.opened_by is not None and sent < self._opened_at):
            return
        self._timeouts += 1
        self._timed_out_at = self._clock()
        if self._timeouts >= TIMEOUTS_TO_OPEN or self.opened_by is not None:
            self._open(UpstreamError(TIMED_OUT))

    def _open(self, failure: UpstreamFailure) -> None:
        if self.opened_by is None:
            self._opened_at = self._clock()
        else:
            self._cooldown = min(LONGEST_COOLDOWN, self._cooldown * 2)
        self.opened_by = failure
        self._probe_at = self._clock() + self._cooldown
