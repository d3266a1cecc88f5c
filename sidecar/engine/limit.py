"""Layer 7, limit and breaker: what the provider is found to admit, in one state object fed by outcomes.

Plain functions over a clock: no await, no I/O. The gate reads `slots`; who feeds an outcome tells the gate.
Additive increase and multiplicative decrease as TCP does it (Jacobson 1988), with refusals in the place of losses.
"""

import math
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

from sidecar.words.errors import (
    RateLimited,
    SidecarError,
    UpstreamAuth,
    UpstreamError,
    UpstreamFailure,
    UpstreamUnreachable,
)

WIDEST: Final = 32
"""Clean rounds between two probes upward, at most."""

FORGET: Final = 60.0
"""Seconds without a refusal after which what was found is old: probes follow each other closely and double."""

FORGOTTEN: Final = 300.0
"""Seconds without a refusal after which what refusals taught counts for nothing: to learn it anew costs a handful of
them, to hold a class to last night's limit costs its answers. What deadlines taught stays: that costs answers."""

LONGEST_PAUSE: Final = 60.0
"""Seconds of silence that a provider is granted at a time; then one call finds out."""

PATIENT: Final = 5.0
"""Seconds a call must have had before its deadline says something; twice as many while none was measured."""

LATE_SHARE: Final = 0.1
"""Of a generation's calls, those that end at their deadline before the limit shrinks."""

DOWN: Final[dict[type[SidecarError], int]] = {
    UpstreamAuth: 3,
    RateLimited: 3,
    UpstreamUnreachable: 5,
    UpstreamError: 20,
}
"""Failures in a row, without a success between, that open the breaker. `RateLimited`: only a used-up quota counts."""

COOLEST: Final = 10.0
"""Seconds between two probes of a provider that is down, at most; the first comes after one second."""


class Limit:
    """How many calls the provider takes at once, and whether it takes any."""

    def __init__(self, *, ceiling: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.ceiling = ceiling
        self._found = ceiling
        self._found_late = False
        """Whether calls that ended at their deadline had a part in it."""
        self.generation = 0
        """Grows with each shrinking and when the breaker opens; a call remembers the one it was sent in."""
        self.duration = 0.0
        """Seconds until a successful call has its answer, or a stream its first event, smoothed; 0 before the first."""
        self.holding = 0.0
        """Seconds that a successful call holds its slot: a stream to its end. Smoothed likewise."""
        self.paused_until = -math.inf
        """The provider asked for silence until this point on the clock."""
        self.budget: float = max(32, 2 * ceiling)
        """Retries that may still be made; half of one comes back with each success."""
        self._most_budget = self.budget
        self._clock = clock
        self._window = ceiling
        """Calls at once after a pause: one, and twice as many with each answer, until it is no bound any more."""
        self._clean = 0
        self._done = 0
        """Calls of this generation that were answered, and those that ended at their deadline."""
        self._late = 0
        self._spacing = 1
        self._refused_at = -math.inf
        self._failures: Counter[type[UpstreamFailure]] = Counter()
        self._opened_by: UpstreamFailure | None = None
        self._opened_in = 0
        self._cooldown = 1.0
        self._probe_at = -math.inf

    def __repr__(self) -> str:
        return f"<Limit {self.found}/{self.ceiling}, {self.breaker}, {self._failures.total()} failures in a row>"

    @property
    def found(self) -> int:
        """Calls at once that the provider is thought to admit."""
        old = self._clock() - self._refused_at > FORGOTTEN
        return self.ceiling if old and not self._found_late else self._found

    @property
    def slots(self) -> int:
        """Calls the gate may have in flight now."""
        if self._clock() < self.paused_until:
            return 0
        return 1 if self._opened_by is not None else min(self.found, self._window)

    @property
    def pause(self) -> float:
        """Seconds of silence that the provider still asks for."""
        return max(0.0, self.paused_until - self._clock())

    @property
    def breaker(self) -> str:
        """`closed`, or `open` while the provider is plainly down."""
        return "open" if self._opened_by is not None else "closed"

    def refusal(self, *, idle: bool) -> UpstreamFailure | None:
        """Why a new request is not let in now, or None.

        While the breaker is open one request at a time is let in as a probe, when no other probe is under way (`idle`).
        """
        if self._opened_by is None or (idle and self._clock() >= self._probe_at):
            return None
        return self._opened_by

    def succeeded(self, seconds: float, generation: int, *, saturated: bool, first: float | None = None) -> None:
        """A call was answered after `seconds`, a stream's first event came after `first`.

        `saturated`: every slot was in use, so more might have been.
        """
        self.duration = _smoothed(self.duration, seconds if first is None else first)
        self.holding = _smoothed(self.holding, seconds)
        self.budget = min(self._most_budget, self.budget + 0.5)
        self._window = min(self.ceiling, self._window * 2)
        self.begun()
        if generation == self.generation:
            self._done += 1
        if not saturated or generation != self.generation or self.found >= self.ceiling:
            return
        forgotten = self._clock() - self._refused_at > FORGET
        if forgotten:
            self._spacing = 1
        self._clean += 1
        if self._clean >= self.found * self._spacing:
            self._clean = 0
            self._found = min(self.ceiling, self._found * 2 if forgotten else self._found + 1)
            self._found_late = self._found_late and self._found < self.ceiling

    def begun(self) -> bool:
        """An answer came, or begins to: the provider is up. Whether it was thought down."""
        down = self._opened_by is not None
        self._alive()
        return down

    def failed(self, failure: UpstreamFailure, generation: int, *, running: int) -> None:
        """A call failed; `running` others are still under way."""
        if isinstance(failure, RateLimited) and failure.scope != "account":
            self._alive()
            # A text that is over the limit all by itself, and so is not tried again, says nothing of calls at once.
            if failure.retryable or failure.scope == "minute":
                self._refused(failure, generation, running)
            return
        self._count(failure, generation)

    def timed_out(self, seconds: float, generation: int, failure: UpstreamFailure) -> None:
        """A call was under way for `seconds` when its deadline came.

        It counts only where it had its fair time: a call granted late says nothing about the provider. Local model
        servers queue instead of refusing, so too many calls at once show as calls that end too late.
        """
        if seconds < (max(2 * self.duration, PATIENT) if self.duration else 2 * PATIENT):
            return
        self._count(failure, generation)
        if generation == self.generation:
            self._late += 1
            # One that hangs now and then is the provider's hiccup; a share of them is a queue behind its door.
            if self._late >= max(2, LATE_SHARE * (self._late + self._done)):
                self._shrink(max(1, self.found * 3 // 4))
                self._found_late = True

    def may_retry(self) -> bool:
        """Take one retry from the budget; False where none is left."""
        if self.budget < 1:
            return False
        self.budget -= 1
        return True

    def _refused(self, failure: RateLimited, generation: int, running: int) -> None:
        now = self._clock()
        if failure.scope == "minute":
            # Not too short, lest it becomes a busy loop, and not so long that one odd header shuts us for a day.
            pause = min(max(failure.retry_after or 1.0, 0.05), LONGEST_PAUSE)
            self.paused_until = max(self.paused_until, now + pause)
            self._window = 1
            return
        found, self._refused_at = self.found, now
        if generation == self.generation:
            # The first word of this round trip: what still runs is admitted, but one word halves it at most.
            self._shrink(max(1, found // 2, min(found, running)))
            self._spacing = min(WIDEST, self._spacing * 2)
        else:
            self._found = max(1, min(found, running))

    def _shrink(self, found: int) -> None:
        self._found = found
        self.generation += 1
        self._clean = self._done = self._late = 0

    def _alive(self) -> None:
        """The provider does its work, so it is not down, whatever becomes of a single request."""
        self._failures.clear()
        self._opened_by, self._cooldown = None, 1.0

    def _count(self, failure: UpstreamFailure, generation: int) -> None:
        kind = type(failure)
        if kind not in DOWN or (kind is UpstreamError and 400 <= (failure.status or 0) < 500):
            self._alive()  # it did not like this one request
            return
        if self._opened_by is not None and generation < self._opened_in:
            return  # it was sent before that was known, and tells nothing new
        self._failures[kind] += 1
        if self._opened_by is None:
            if self._failures[kind] >= DOWN[kind]:
                self._shrink(self.found)  # by nothing: what was sent before belongs to another generation
                self._opened_in = self.generation
                self._open(failure)
        elif kind is type(self._opened_by):
            self._cooldown = min(COOLEST, self._cooldown * 2)
            self._open(failure)
        else:
            self._opened_by, self._cooldown = None, 1.0  # down in another way, if it is: that is counted by itself

    def _open(self, failure: UpstreamFailure) -> None:
        # Without the provider's own words on somebody's request: others will read this.
        self._opened_by = UpstreamError(status=failure.status) if type(failure) is UpstreamError else failure
        self._probe_at = self._clock() + self._cooldown


def _smoothed(before: float, seconds: float) -> float:
    # Slower up than down: who is refused by this estimate is refused for good, who is let in may still be served.
    weight = 32 if seconds > before else 8
    return before + (seconds - before) / weight if before else seconds


def backoff(attempt: int, chance: float) -> float:
    """Seconds before retry number `attempt` (from 0): doubling from 0.2 s to 5 s, half of it by `chance` (0 to 1)."""
    return min(5.0, 0.2 * 2.0**attempt) * (0.5 + chance / 2)
