"""Layer 7, the limit: how many calls the provider takes, found from its refusals, in one state object a provider.

Plain functions over a clock, free of await and I/O. The gate calls `send_at` and `grant`; `calls.py` reports each end.
Three facts decide instead of a provider's words: how many of our calls ran at a refusal, whether the provider admitted
a call since the refusal before, and when the last admitted call was sent. docs/limits.md explains the method.
"""

import math
import time
from collections.abc import Callable
from typing import Final

from sidecar.core.errors import UpstreamFailure
from sidecar.engine.limiter.breaker import Breaker
from sidecar.engine.limiter.grant import Grant, Refusals, Unsettled, smoothed
from sidecar.engine.limiter.latency import LatencyLimit
from sidecar.engine.limiter.pacing import Spacing, distance
from sidecar.engine.limiter.pauses import NamedWaits
from sidecar.engine.limiter.probes import STEP, Highest, Levels, Probes, RefusalTime

FORGOTTEN: Final = 300.0
"""Seconds without a refusal after which a limit found from refusals is dropped: finding it anew costs a handful of
refusals, holding a class to last night's limit costs its answers. A limit found from deadlines stays."""
FACT: Final = 3
"""Refused probes since the last fall that make the limit a fact."""
STEADY: Final = 1.5
"""Seconds since the last fall that make the limit a fact, together with `FACT`."""
RARE: Final = 1.0
"""Seconds between two calls from which a refused probe leaves the next call's point alone: a delay costs too much."""
STALLED: Final = 1.0
"""Seconds between a call's deadline and its end from which this process itself was stalled."""


class Limit:
    """Limit of one provider: calls at once, their distance in time, pauses and the breaker."""

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
        self._last: Grant | None = None
        self._spacing = Spacing()
        self._admitted_at = self._refused_at = self._fell_at = -math.inf
        self._refusing_since = math.inf
        self._trial: Grant | None = None
        """The call that probes a provider whose breaker is open."""
        self._probes = Probes()
        self._levels = Levels(ceiling)
        self._highest = Highest()

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
        if self.found >= self.ceiling:
            return False
        steady = self._clock() - self._fell_at >= STEADY and self._probes.failed >= FACT
        return steady or self._latency.active

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

    def settle(self) -> None:
        """Apply what follows from time alone, for readers of the limit while no call is sent."""
        self._settle(self._clock())

    def send_at(self, running: int) -> float:
        """Return the point on the clock from which a call may be sent; infinity: only after a running call ends."""
        if running >= self.ceiling:
            return math.inf
        if self.unset and self.breaker.opened_by is None:
            return -math.inf
        now = self._clock()
        self._settle(now)
        if self.breaker.opened_by is not None:
            trial = self._trial
            probing = trial is not None and not trial.ended and self.breaker.sent_since_opened(trial.at)
            return math.inf if probing else -math.inf
        send_at = max(self.paused_until, self._send_at_by_limit(running))
        self._spacing.next_at(now, send_at)
        return send_at

    def _send_at_by_limit(self, running: int) -> float:
        """Return the same point by limit and probes alone, without pause and breaker."""
        probes, spaced = self._probes, self._spacing.last + self.gap
        if self.found < 1:
            early = not (running or probes.under_way or probes.at > spaced)
            return max(probes.at, self._spacing.last + self.gap / STEP) if early else spaced
        if running < self.slots:
            return spaced
        if self._latency.active:
            return math.inf
        if probes.under_way >= probes.most_at_once(self.slots):
            return probes.sent_at + self.refusal_time.confirm
        return probes.at if probes.eager else max(spaced, probes.at)

    def grant(self, running: int) -> Grant:
        """Record a call that is sent now while `running` others are in flight; return its grant."""
        now = self._clock()
        beyond = running >= self.slots if self.found >= 1 else now < self._spacing.last + self.gap - 0.001
        grant = Grant(now, self.generation, running)
        if self.breaker.opened_by is not None:
            self._trial = grant
        elif beyond:
            grant.probe = True
            self._probes.sent(now)
        if not running:
            self._latency.idle()
        if self._refused_at == -math.inf:
            self._spacing.last = now
        else:
            self._spacing.sent(now, self.gap, probe=grant.probe)
        self._last = grant
        self._settle(now)
        self._unsettled.append(grant)
        return grant

    def answer_began(self, grant: Grant) -> bool:
        """Record an answer, or the first event of a stream; return whether the breaker was open."""
        if not grant.ended:
            self._admitted(grant)
        self.waits.answered()
        return self.breaker.close()

    def succeeded(self, grant: Grant, *, running: int, first: float | None = None) -> None:
        """Record an answer; `first`: seconds to a stream's first event; `running`: other calls in flight."""
        now = self._clock()
        seconds = now - grant.at
        self.duration = smoothed(self.duration, seconds if first is None else first)
        self.holding = smoothed(self.holding, seconds)
        if not self.unset:
            self._settle(now)
        self.answer_began(grant)
        grant.ended = True
        if grant.generation != self.generation:
            return
        answered = seconds if first is None else first
        used_up = running + 1 >= self.slots
        level = self._latency.answered(answered, grant.others, self.found, self.ceiling, used_up=used_up)
        if level != self.found:
            self._set(level)
            self.why = "answers"

    def failed(self, grant: Grant, failure: UpstreamFailure, *, running: int) -> None:
        """Record a failed call; `running` others are still in flight."""
        self._settle(self._clock())
        probe = grant.probe
        self.ended(grant)
        if failure.scope != "capacity":
            self.breaker.failed(failure, grant.at)
            return
        self.breaker.close()
        self._refused(grant, running, failure, probe=probe)

    def timed_out(self, grant: Grant, *, overdue: float = 0.0) -> None:
        """Record an unanswered call; an end long `overdue` (seconds) means that this process was stalled."""
        seconds = self._clock() - grant.at
        self.ended(grant)
        if overdue > STALLED or not self._latency.fair(seconds):
            return
        self.breaker.timed_out(grant.at)
        if grant.generation != self.generation:
            return
        if (queue := self._latency.late(seconds, self.found)) is not None:
            slots, self.holding = queue
            self.duration = min(self.duration, self.holding)
            self._fall(slots, why="deadlines")

    def ended(self, grant: Grant) -> None:
        """Record the end of a call, whatever its outcome."""
        grant.ended = True
        self._probe_over(grant)

    def _probe_over(self, grant: Grant) -> None:
        """End the probe if the call is one: its outcome is known."""
        if grant.probe:
            grant.probe = False
            self._probes.over(self._clock())

    def _settle(self, now: float) -> None:
        """Apply what follows from time alone: calls admitted, levels that held, refusals long ago."""
        for grant in self._unsettled.admitted(now - self.refusal_time.confirm):
            self._admitted(grant)
        self._levels.settle(now)
        taught = max(self._refused_at, self.paused_until)
        if taught > -math.inf and now - taught > FORGOTTEN and not self._latency.active:
            self._refused_at = self.paused_until = -math.inf
            self._set(self.ceiling)
            self.why = "quiet"

    def _admitted(self, grant: Grant) -> None:
        self._refusing_since = math.inf
        if grant.at > self._admitted_at:  # noqa: PLR1730 - max() costs a tenth of the call
            self._admitted_at = grant.at
        if grant.probe:
            self._probe_over(grant)
            self._rise()

    def _rise(self) -> None:
        now = self._clock()
        level = self._levels.gain(now, self.holding, self.ceiling)
        self.found, self.slots = level, max(1, int(level))
        self._probes.rose(now, confirm=self.refusal_time.confirm, each=self.holding / level, below_one=level < 1)
        self.why = "probes"

    def _refused(self, grant: Grant, running: int, failure: UpstreamFailure, *, probe: bool) -> None:
        now, levels = self._clock(), self._levels
        together = now - self._fell_at <= self.refusal_time.confirm
        self._latency.refused()
        self.refusal_time.measured(now - grant.at)
        self.refusals.add(grant)
        self._refusing_since = min(self._refusing_since, now)
        self._refused_at = now
        self._probes.interrupted()
        if not running and not probe:
            pause = self.waits.after(failure, now, silence=now - max(self._admitted_at, 0.0), sent=grant.at)
            self.paused_until = max(self.paused_until, now + pause)
        if grant.generation != self.generation:
            if together:  # each of many refusals together lowers the known number; a later one is no new evidence
                self._set(max(min(1.0, self.found), min(self.found, running)))
        elif not probe and self.refusals.row == 1 and levels.low(running):
            self._set(levels.softened)
            self.why = "refusals"
        elif probe or levels.provisional:
            if self._last is grant and self.gap >= RARE:
                self._spacing.undo()
            if not probe:
                self._set(max(levels.firm, min(self.found - 1, running)))
            self._probes.refused(now, each=self.holding / self.found, below_one=self.found < 1)
        else:
            admitted, self._fell_at = self._admitted_at > self._fell_at, now
            self._fall(levels.after_fall(running, admitted=admitted), why="refusals")

    def _set(self, level: float) -> None:
        """Set the limit to a level without provisional part."""
        self._levels.set(level)
        self.found, self.slots = level, max(1, int(level))

    def _fall(self, found: float, *, why: str) -> None:
        self._set(found)
        self.why = why
        self.generation += 1
        self._latency.fell()
        self._probes.fell(self._clock(), each=self.holding / found, below_one=found < 1)
