"""Layer 7, the limit: how many calls the provider takes, found from its refusals, in one state object a provider.

Plain functions over a clock, free of await and I/O. The gate calls `send_at` and `grant`; `calls.py` reports each end.
Three facts decide instead of a provider's words: how many of our calls ran at a refusal, whether the provider admitted
a call since the refusal before, and when the last admitted call was sent. docs/limits.md explains the method.
"""

import math
from typing import Final

from sidecar.core.errors import UpstreamFailure
from sidecar.engine.limiter.crowding import crowded, of_gateway, unworked
from sidecar.engine.limiter.grant import Grant, smoothed
from sidecar.engine.limiter.limit_state import LimitState
from sidecar.engine.limiter.probes import LEAST_CONFIRM, STEP
from sidecar.engine.limiter.rechecks import RATE

FORGOTTEN: Final = 300.0
"""Seconds without a refusal after which a limit found from refusals is dropped: finding it anew costs a handful of
refusals, holding a class to last night's limit costs its answers. A limit found from deadlines stays."""
RARE: Final = 1.0
"""Seconds between two calls from which a refused probe leaves the next call's point alone: a delay costs too much."""
HANGING: Final = 5.0
"""Seconds in flight, at least, from which a call is no sign of a living provider; for slow calls three times theirs."""
STALLED: Final = 1.0
"""Seconds between a call's deadline and its end from which this process itself was stalled."""


class Limit(LimitState):
    """Limit of one provider, as calls and time change it."""

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
        if self._rechecks.due(now):
            return -math.inf
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
        elif self._rechecks.due(now):
            self._rechecks.sent(grant)
        elif beyond:
            grant.probe = True
            self._probes.sent(now)
        if not running:
            self._latency.idle()
        if self._refused_at == -math.inf:
            self._spacing.last = now
        else:
            self._spacing.sent(now, self.gap, probe=grant.probe or grant.recheck)
        self._last = grant
        self._in_flight[grant] = None
        self._settle(now)
        self._unsettled.append(grant)
        return grant

    def adopt(self, grant: Grant) -> None:
        """Record a call that was sent before this process knew of it."""
        if not grant.others:
            self._latency.idle()
        self._in_flight[grant] = None
        self._unsettled.append(grant)

    def answer_began(self, grant: Grant) -> bool:
        """Record an answer, or the first event of a stream; return whether the breaker was open."""
        if not grant.ended:
            self._admitted(grant)
        self.waits.answered()
        self._answered_at, grant.began = self._clock(), True
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
        now = self._clock()
        self._settle(now)
        probe, recheck = grant.probe, grant.recheck
        self.ended(grant)
        if failure.scope == "capacity":
            self.breaker.close()
        elif grant.began or not crowded(failure) or not self._lives(grant, now):
            self.breaker.failed(failure, grant.at)
            return
        else:
            if self._answered_at <= grant.at:
                self.breaker.failed(failure, grant.at, opens=False)
            if unworked(failure, now - grant.at):
                failure.crowded = failure.retryable = True
            elif not of_gateway(failure):
                return
        self._refused(grant, running, failure, probe=probe, recheck=recheck)

    def _lives(self, grant: Grant, now: float) -> bool:
        """Return whether the provider answered a call since `grant` was sent, or works on one that was sent before."""
        if self.breaker.opened_by is not None:
            return False
        longest = max(HANGING, 3 * self.holding)
        older = any(other.at < grant.at and now - other.at <= longest for other in self._in_flight)
        return older or self._answered_at > grant.at

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
        self._in_flight.pop(grant, None)
        self._probe_over(grant)
        if grant.recheck:
            self._rechecks.over(grant)

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
        self._refusing_since, before = math.inf, self._admitted_at
        if grant.at > self._admitted_at:  # noqa: PLR1730 - max() costs a tenth of the call
            self._admitted_at = grant.at
        if grant.probe:
            self._probe_over(grant)
            self._rise()
        elif grant.recheck:
            level = self._rechecks.admitted(grant, self._clock(), self.refusals.admitted_then(grant))
            if level is not None and level > self.found:
                self._set(level)
                self.generation += 1
                self.why = "probes"
        if self._throughput.armed:
            self._return(silence=grant.at - before)

    def _return(self, *, silence: float) -> None:
        """Let the limit return to the measured rate of calls, since the provider admits calls again."""
        now, self._throughput.armed = self._clock(), False
        level = self._throughput.level(now, self.holding, self.found, silence=silence)
        if level is not None:
            self.found = self._levels.gain(now, self.holding, self.ceiling, to=level)
            self.slots = max(1, int(self.found))
            self._probes.returned(now, each=self.holding / self.found)
            self.why = "probes"

    def _rise(self) -> None:
        now = self._clock()
        level = self._levels.gain(now, self.holding, self.ceiling)
        self.found, self.slots = level, max(1, int(level))
        self._probes.rose(now, confirm=self.refusal_time.confirm, each=self.holding / level, below_one=level < 1)
        self.why = "probes"

    def _refused(self, grant: Grant, running: int, failure: UpstreamFailure, *, probe: bool, recheck: bool) -> None:
        now, levels = self._clock(), self._levels
        self._overloaded = overloaded = failure.status not in {None, 429}
        together = now - self._fell_at <= self.refusal_time.confirm
        self._count(grant, now)
        if not (overloaded and self._rechecks.believed):
            self._probes.interrupted()
        if not running and not probe and not recheck:
            self._throughput.armed = True
            pause = self.waits.after(failure, now, silence=now - max(self._admitted_at, 0.0), sent=grant.at)
            self.paused_until = max(self.paused_until, now + pause)
        still = self._ran(grant, running, now)
        if overloaded and not probe and self._by_chance(grant, still, recheck=recheck):
            return
        if grant.generation != self.generation:
            if together:  # each of many refusals together lowers the known number; a later one is no new evidence
                self._set(max(min(1.0, self.found), min(self.found, still)))
        elif not probe and self.refusals.row == 1 and levels.low(still):
            self._set(levels.softened)
            self.why = "refusals"
        elif probe or levels.provisional:
            if self._last is grant and self.gap >= RARE:
                self._spacing.undo()
            if not probe:
                self._set(max(levels.firm, min(self.found - 1, still)))
            self._probes.refused(now, each=self.holding / self.found, below_one=self.found < 1)
        else:
            admitted, self._fell_at = self._admitted_at > self._fell_at, now
            self._fall(levels.after_fall(still, admitted=admitted), why="refusals")

    def _count(self, grant: Grant, now: float) -> None:
        self._latency.refused()
        self.refusal_time.measured(now - grant.at)
        if self._admitted_at > self._last_spell:
            self._throughput.refused(now, self._all_admitted, first=self._refused_at == -math.inf)
        self._last_spell = now
        self.refusals.add(grant, now)
        self._refusing_since = min(self._refusing_since, now)
        self._refused_at = now

    def _ran(self, grant: Grant, running: int, now: float) -> int:
        """Return the number of admitted calls that ran when a call was refused."""
        if running and now - grant.at > LEAST_CONFIRM:
            # Admitted calls may have ended since the call was sent, while others to be refused held their places.
            return max(running, self.refusals.admitted_then(grant))
        return running

    def _by_chance(self, grant: Grant, still: int, *, recheck: bool) -> bool:
        """Weigh a refusal of an overloaded provider; return whether the limit's own rules leave it alone."""
        now, rechecks, levels = self._clock(), self._rechecks, self._levels
        if recheck:
            if rechecks.refused(grant, now):
                self._fell_at = now
                self._fall(max(levels.after_fall(still, admitted=True), levels.now / 2), why="refusals")
            return True
        if grant.generation == self.generation:
            rate = max(1, still) / self.holding if self.holding else RATE
            rechecks.fell(grant, now, before=levels.now, others=self.refusals.admitted_then(grant), rate=rate)
        return rechecks.believed

    def _fall(self, found: float, *, why: str) -> None:
        self._set(found)
        self.why = why
        self.generation += 1
        self._latency.fell()
        self._probes.fell(self._clock(), each=self.holding / found, below_one=found < 1)
