"""Layer 7, the breaker: whether the provider does its work at all, so that nobody waits for one that is plainly down.

Plain functions over a clock: no await, no I/O. A refusal for want of room is the limit's business and no sign here, and
neither is what one request alone is at fault for.
"""

import math
from collections import Counter
from collections.abc import Callable
from typing import Final

from sidecar.core.errors import RateLimited, SidecarError, UpstreamAuth, UpstreamError, UpstreamFailure
from sidecar.core.errors import UpstreamUnreachable as Unreachable

DOWN: Final[dict[type[SidecarError], int]] = {UpstreamAuth: 3, RateLimited: 3, Unreachable: 5, UpstreamError: 20}
"""Failures in a row, without a sign of life between, that open the breaker. `RateLimited`: only a used-up account
counts."""

SILENT: Final = 3
"""Silent spells in a row that open it: calls that were sent after the spell before and ended at their deadline."""

COOLEST: Final = 10.0
"""Seconds between two probes of a provider that is down, at most; the first comes after one second."""

USED_UP_SECONDS: Final = 3600.0
"""Seconds at most for which a used-up account is left alone on its own word."""

SILENCE: Final = "The AI provider does not answer in time. Please try again later."


class Breaker:
    """Closed, or open while the provider is plainly down; then one call at a time finds out whether it still is."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.opened_by: UpstreamFailure | None = None
        """What is wrong with the provider, in words for everybody; None while it is closed."""
        self._clock = clock
        self._failures: Counter[type[UpstreamFailure]] = Counter()
        self._last: dict[type[UpstreamFailure], str] = {}
        """The words of the failure before, by kind."""
        self._silent = 0
        self._silent_at = -math.inf
        self._opened_at = -math.inf
        self._cooldown = 1.0
        self._probe_at = -math.inf

    def __repr__(self) -> str:
        return f"<Breaker {self.state}, {self._failures.total()} failures in a row>"

    @property
    def state(self) -> str:
        """`closed` or `open`."""
        return "closed" if self.opened_by is None else "open"

    def refusal(self, *, idle: bool) -> UpstreamFailure | None:
        """Why a new request is not let in now, or None.

        While the breaker is open one request at a time is let in as a probe, when no other probe is under way (`idle`).
        """
        if self.opened_by is None or (idle and self._clock() >= self._probe_at):
            return None
        return self.opened_by

    def sent_since_opened(self, sent: float) -> bool:
        """Whether a call that was sent at this point on the clock is a probe of an open breaker."""
        return self.opened_by is not None and sent >= self._opened_at

    def alive(self) -> bool:
        """Close it: the provider does its work, whatever becomes of a single request. Whether it was open."""
        was_open = self.opened_by is not None
        if not (was_open or self._failures or self._silent):
            return False
        self._failures.clear()
        self._last.clear()
        self._silent = 0
        self.opened_by, self._cooldown = None, 1.0
        return was_open

    def failed(self, failure: UpstreamFailure, sent: float) -> None:
        """Count a failed call that was sent at this point on the clock."""
        kind = type(failure)
        if kind not in DOWN or failure.scope in {"request", "capacity"}:
            self.alive()
            return
        if self.opened_by is not None and sent < self._opened_at:
            return  # it was sent before that was known, and tells nothing new
        self._failures[kind] += 1
        told, self._last[kind] = self._last.get(kind), str(failure)
        if self.opened_by is not None and kind is not type(self.opened_by):
            self.opened_by, self._cooldown = None, 1.0  # down in another way, if it is: that is counted by itself
            return
        named_end = failure.scope == "account" and failure.retry_after is not None
        if self.opened_by is None and self._failures[kind] < DOWN[kind] and not named_end:
            return
        # Words that two calls were told are not about one person's text.
        shown = kind is not UpstreamError or told == str(failure)
        self._open(failure if shown else UpstreamError(status=failure.status))
        if named_end and failure.retry_after is not None:
            self._probe_at = self._clock() + min(failure.retry_after, USED_UP_SECONDS)

    def silent(self, sent: float) -> None:
        """Count a call, sent at this point on the clock, that got no word by its deadline.

        All that were under way together are one sign, however many they are.
        """
        if sent < self._silent_at or (self.opened_by is not None and sent < self._opened_at):
            return
        self._silent += 1
        self._silent_at = self._clock()
        if self._silent >= SILENT or self.opened_by is not None:
            self._open(UpstreamError(SILENCE))

    def _open(self, failure: UpstreamFailure) -> None:
        if self.opened_by is None:
            self._opened_at = self._clock()
        else:
            self._cooldown = min(COOLEST, self._cooldown * 2)
        self.opened_by = failure
        self._probe_at = self._clock() + self._cooldown
