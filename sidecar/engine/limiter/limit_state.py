"""Layer 7, the state of the limit, and what the gate, estimates and operators read from it. Changes are in limit.py."""

import math
import time
from collections.abc import Callable
from typing import Final

from sidecar.engine.limiter.breaker import Breaker
from sidecar.engine.limiter.grant import Grant, Refusals, Unsettled
from sidecar.engine.limiter.latency import LatencyLimit
from sidecar.engine.limiter.pacing import Spacing, distance
from sidecar.engine.limiter.pauses import NamedWaits
from sidecar.engine.limiter.probes import Highest, Levels, Probes, RefusalTime
from sidecar.engine.limiter.rechecks import Rechecks
from sidecar.engine.limiter.throughput import Throughput

FACT: Final = 3
"""Refused probes since the last fall that make the limit a fact."""
FACT_OVERLOADED: Final = 5
"""The same where the provider says that it is overloaded, which it may say by chance."""
STEADY: Final = 1.5
"""Seconds since the last fall that make the limit a fact, together with `FACT`."""
RECENT: Final = 90.0
"""Seconds since the last refusal from which a limit found from refusals is no fact: a caller refused by what was true
in the hour before is lost, one let in hears within two seconds what is true now."""


class LimitState:
    """State of one provider's limit: calls at once, their distance in time, pauses and the breaker."""

    def __init__(self, *, ceiling: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.ceiling = ceiling
        self.found: float = ceiling
        """Calls at once that the provider is thought to admit; below one, the share of the time that one may run."""
        self.slots = ceiling
        """Calls at once within the limit."""
        self.breaker = Breaker(clock)
        self.generation = 0
        """Number of falls; each grant holds the generation it was sent in."""
        self.duration = 0.0
        """Seconds until a successful call has its answer, or a stream its first event, smoothed; 0 before the first."""
        self.holding = 0.0
        """Seconds that a successful call holds its slot, a stream to its end; smoothed, 0 before the first."""
        self.refusals = Refusals()
        self.why = ""
        """Cause of the last change: `refusals`, `deadlines`, `probes`, `answers`, `quiet`; blank at the start."""
        self.paused_until = -math.inf
        """No call is sent before this point on the clock."""
        self._clock = clock
        self.refusal_time = RefusalTime()
        self.waits = NamedWaits()
        self._latency = LatencyLimit()
        self._unsettled = Unsettled()
        self._in_flight: dict[Grant, None] = {}
        """The calls in flight, in the order they were sent."""
        self._last: Grant | None = None
        self._spacing = Spacing()
        self._admitted_at = self._refused_at = self._fell_at = self._last_spell = -math.inf
        self._answered_at = -math.inf
        self._refusing_since = math.inf
        self._trial: Grant | None = None
        """The call that probes a provider whose breaker is open."""
        self._probes = Probes()
        self._levels = Levels(ceiling)
        self._highest = Highest()
        self._throughput = Throughput()
        self._rechecks = Rechecks()
        self._overloaded = False
        """Flag: the last refusal was no 429, so that it may have come by chance."""

    def __repr__(self) -> str:
        return f"<Limit {self.found:g}/{self.ceiling}{' (fact)' if self.fact else ''}, {self.breaker.state}>"

    @property
    def unset(self) -> bool:
        """Return whether the ceiling is the only limit, because refusals and late calls are absent or forgotten."""
        return self._refused_at == -math.inf and not self._latency.active

    @property
    def gap(self) -> float:
        """Return the seconds between two calls: 0 before the first refusal, then nearly the even distance."""
        if self._refused_at == -math.inf:
            return 0.0
        return distance(self.holding, self.found)

    @property
    def pause(self) -> float:
        """Return the seconds left of the pause after a refusal that came while no call was in flight."""
        return max(0.0, self.paused_until - self._clock())

    @property
    def refusing_for(self) -> float:
        """Return the seconds for which the provider has refused every call; 0 once a call was admitted."""
        return max(0.0, self._clock() - self._refusing_since)

    @property
    def fact(self) -> bool:
        """Return whether enough probes were refused, or deadlines passed, to refuse callers by the limit."""
        if self.found >= self.ceiling or self._rechecks.unsteady(self._unsettled.sent):
            return False
        now = self._clock()
        steady = now - self._fell_at >= STEADY and self._probes.failed >= (
            FACT_OVERLOADED if self._overloaded else FACT
        )
        return (steady and now - self._refused_at <= RECENT) or self._latency.active

    @property
    def expected(self) -> float:
        """Return the calls at once for estimates: the ceiling until the limit is a fact, then the highest of late."""
        if self.unset:
            return self.ceiling
        if (proven := self._latency.proven(self.found)) is not None:
            return proven
        now = self._clock()
        return self._highest.now(now, self.found) if self.fact else self._highest.known(now, self.found, self.ceiling)

    @property
    def spaced(self) -> float:
        """Return the seconds until a call may be sent by spacing alone."""
        return max(0.0, self._spacing.last + self.gap - self._clock())

    @property
    def _all_admitted(self) -> int:
        """Count the calls that were admitted, of all that were sent."""
        return self._unsettled.sent - self._unsettled.undecided - self.refusals.count

    def _set(self, level: float) -> None:
        """Set the limit to a level without provisional part."""
        self._levels.set(level)
        self.found, self.slots = level, max(1, int(level))
