"""Layer 7, the limit: how many calls the provider takes, found from its refusals, in one state object a provider.

Plain functions over a clock: no await, no I/O. The gate asks `room` and tells `grant`; who makes a call tells its end.
No word of a provider decides anything here. Three facts do: how many of ours ran when a call was refused, whether
anything was admitted since the refusal before, and when the last admitted call was sent. docs/limits.md explains it.
"""

import math
import time
from collections.abc import Callable
from typing import Final

from sidecar.core.errors import UpstreamFailure
from sidecar.engine.limiter.breaker import Breaker
from sidecar.engine.limiter.grant import Grant, Refusals, Unsettled, smoothed
from sidecar.engine.limiter.lateness import Queueing
from sidecar.engine.limiter.pacing import Spacing, distance
from sidecar.engine.limiter.pauses import NamedWaits
from sidecar.engine.limiter.probes import STEP, Highest, Levels, Probes, RefusalTime

FORGOTTEN: Final = 300.0
"""Seconds without a refusal after which what refusals taught counts for nothing: to learn it anew costs a handful of
them, to hold a class to last night's limit costs its answers. What deadlines taught stays: that costs answers."""
FACT: Final = 3
"""Refused probes since the last fall that make the limit a fact."""
STEADY: Final = 1.5
"""Seconds since the last fall that it takes as well."""
RARE: Final = 1.0
"""Seconds between two calls from which a refused probe does not put the next one off: it would cost too much."""
STOOD_STILL: Final = 1.0
"""Seconds after its deadline that a call ended, from which the process itself stood still."""


class Limit:
    """How many calls the provider takes at once, how far apart, and whether it takes any."""

    def __init__(self, *, ceiling: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.ceiling = ceiling
        self.found: float = ceiling
        """Calls at once that the provider is thought to admit; below one, the share of the time that one may run."""
        self.slots = ceiling
        """Calls at once within the limit."""
        self.breaker = Breaker(clock)
        self.generation = 0
        """Grows with each fall; a call remembers the one it was sent in."""
        self.duration = 0.0
        """Seconds until a successful call has its answer, or a stream its first event, smoothed; 0 before the first."""
        self.holding = 0.0
        """Seconds that a successful call holds its slot: a stream to its end. Smoothed likewise."""
        self.refusals = Refusals()
        self.why = ""
        """What the limit was last set by: `refusals`, `deadlines`, `probes`, `answers`, `quiet`; blank at the start."""
        self.paused_until = -math.inf
        """No call is sent before this point on the clock."""
        self._clock = clock
        self.refusal_time = RefusalTime()
        self._waits = NamedWaits()
        self._queueing = Queueing()
        self._unsettled = Unsettled()
        self._last: Grant | None = None
        self._spacing = Spacing()
        self._admitted_at = self._refused_at = self._fell_at = -math.inf
        self._refusing_since = math.inf
        self._trial: Grant | None = None
        """The call that finds out whether a provider that was down is back."""
        self._probes = Probes()
        self._levels = Levels(ceiling)
        self._highest = Highest()

    def __repr__(self) -> str:
        return f"<Limit {self.found:g}/{self.ceiling}{' (fact)' if self.fact else ''}, {self.breaker.state}>"

    @property
    def untaught(self) -> bool:
        """Whether there is no limit but the ceiling: nothing was refused or late, or that is forgotten."""
        return self._refused_at == -math.inf and not self._queueing.taught

    @property
    def gap(self) -> float:
        """Seconds between two calls: none until something was refused, then the even distance, nearly."""
        if self._refused_at == -math.inf:
            return 0.0
        return distance(self.holding, self.found)

    @property
    def pause(self) -> float:
        """Seconds until a call may be sent, where nothing is because the provider refused in silence."""
        return max(0.0, self.paused_until - self._clock())

    @property
    def refusing_for(self) -> float:
        """Seconds for which the provider has refused whatever it was sent; 0 where something was admitted since."""
        return max(0.0, self._clock() - self._refusing_since)

    @property
    def fact(self) -> bool:
        """Whether the limit was held against the provider often enough to refuse callers by it."""
        if self.found >= self.ceiling:
            return False
        steady = self._clock() - self._fell_at >= STEADY and self._probes.failed >= FACT
        return steady or self._queueing.taught

    @property
    def expected(self) -> float:
        """Calls at once that estimates count on: the ceiling until the limit is a fact, then the highest of late."""
        if self.untaught:
            return self.ceiling
        if (proven := self._queueing.proven(self.found)) is not None:
            return proven
        now = self._clock()
        return self._highest.now(now, self.found) if self.fact else self._highest.known(now, self.found, self.ceiling)

    @property
    def spaced(self) -> float:
        """Seconds until a call may be sent, as far as spacing goes."""
        return max(0.0, self._spacing.last + self.gap - self._clock())

    def settle(self) -> None:
        """Draw the conclusions of time: for who looks at it while nothing is sent."""
        self._settle(self._clock())

    def room(self, running: int) -> float:
        """The point on the clock from which one more call may be sent; infinity: once one of those running ends."""
        if running >= self.ceiling:
            return math.inf
        if self.untaught and self.breaker.opened_by is None:
            return -math.inf
        now = self._clock()
        self._settle(now)
        if self.breaker.opened_by is not None:
            trial = self._trial
            probing = trial is not None and not trial.ended and self.breaker.sent_since_opened(trial.at)
            return math.inf if probing else -math.inf
        room = max(self.paused_until, self._within(running))
        self._spacing.asked(now, room)
        return room

    def _within(self, running: int) -> float:
        """The same, by the limit and its probes alone."""
        probes, spaced = self._probes, self._spacing.last + self.gap
        if self.found < 1:
            early = not (running or probes.under_way or probes.at > spaced)
            return max(probes.at, self._spacing.last + self.gap / STEP) if early else spaced
        if running < self.slots:
            return spaced
        if self._queueing.taught:
            return math.inf
        if probes.under_way >= probes.reach(self.slots):
            return probes.sent_at + self.refusal_time.confirm
        return probes.at if probes.eager else max(spaced, probes.at)

    def grant(self, running: int) -> Grant:
        """A call is sent now beside `running` others."""
        now = self._clock()
        beyond = running >= self.slots if self.found >= 1 else now < self._spacing.last + self.gap - 0.001
        grant = Grant(now, self.generation, running)
        if self.breaker.opened_by is not None:
            self._trial = grant
        elif beyond:
            grant.probe = True
            self._probes.sent(now)
        if not running:
            self._queueing.idle()
        if self._refused_at == -math.inf:
            self._spacing.last = now
        else:
            self._spacing.sent(now, self.gap, probe=grant.probe)
        self._last = grant
        self._settle(now)
        self._unsettled.append(grant)
        return grant

    def begun(self, grant: Grant) -> bool:
        """Whether the provider was thought down; an answer came, or begins to."""
        if not grant.ended:
            self._admitted(grant)
        return self.breaker.alive()

    def succeeded(self, grant: Grant, *, running: int, first: float | None = None) -> None:
        """A call was answered, a stream's first event came after `first` seconds; `running` others are under way."""
        now = self._clock()
        seconds = now - grant.at
        self.duration = smoothed(self.duration, seconds if first is None else first)
        self.holding = smoothed(self.holding, seconds)
        if not self.untaught:
            self._settle(now)
        self.begun(grant)
        grant.ended = True
        if grant.generation != self.generation:
            return
        answered = seconds if first is None else first
        used_up = running + 1 >= self.slots
        level = self._queueing.answered(answered, grant.others, self.found, self.ceiling, used_up=used_up)
        if level != self.found:
            self._set(level)
            self.why = "answers"

    def failed(self, grant: Grant, failure: UpstreamFailure, *, running: int) -> None:
        """A call failed; `running` others are still under way."""
        self._settle(self._clock())
        probe = grant.probe
        self.ended(grant)
        if failure.scope != "capacity":
            self.breaker.failed(failure, grant.at)
            return
        self.breaker.alive()
        self._refused(grant, running, failure, probe=probe)

    def timed_out(self, grant: Grant, *, overdue: float = 0.0) -> None:
        """A call had no answer by its deadline; ended seconds `overdue`, it shows that this process stood still."""
        seconds = self._clock() - grant.at
        self.ended(grant)
        if overdue > STOOD_STILL or not self._queueing.fair(seconds):
            return
        self.breaker.silent(grant.at)
        if grant.generation != self.generation:
            return
        if (queue := self._queueing.late(seconds, self.found)) is not None:
            slots, self.holding = queue
            self.duration = min(self.duration, self.holding)
            self._fall(slots, why="deadlines")

    def ended(self, grant: Grant) -> None:
        """A call is over, however it went."""
        grant.ended = True
        self._looked_at(grant)

    def _looked_at(self, grant: Grant) -> None:
        """It is known what became of a call, which may have been a probe."""
        if grant.probe:
            grant.probe = False
            self._probes.over(self._clock())

    def _settle(self, now: float) -> None:
        """Draw the conclusions of time: calls that were not refused, levels that held, refusals long ago."""
        for grant in self._unsettled.admitted(now - self.refusal_time.confirm):
            self._admitted(grant)
        self._levels.settle(now)
        taught = max(self._refused_at, self.paused_until)
        if taught > -math.inf and now - taught > FORGOTTEN and not self._queueing.taught:
            self._refused_at = self.paused_until = -math.inf
            self._set(self.ceiling)
            self.why = "quiet"

    def _admitted(self, grant: Grant) -> None:
        self._refusing_since = math.inf
        if grant.at > self._admitted_at:  # noqa: PLR1730 - max() costs a tenth of the call
            self._admitted_at = grant.at
        if grant.probe:
            self._looked_at(grant)
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
        self._queueing.refused()
        self.refusal_time.measured(now - grant.at)
        self.refusals.add(grant)
        self._refusing_since = min(self._refusing_since, now)
        self._refused_at = now
        self._probes.interrupted()
        if not running and not probe:
            pause = self._waits.after(failure, now, silence=now - max(self._admitted_at, 0.0))
            self.paused_until = max(self.paused_until, now + pause)
        if grant.generation != self.generation:
            if together:  # with each of many, less is known to run; a late one tells nothing new
                self._set(max(min(1.0, self.found), min(self.found, running)))
        elif not probe and self.refusals.row == 1 and levels.low(running):
            self._set(levels.softened)
            self.why = "refusals"
        elif probe or levels.provisional:
            if self._last is grant and self.gap >= RARE:
                self._spacing.undone()
            if not probe:
                self._set(max(levels.firm, min(self.found - 1, running)))
            self._probes.refused(now, each=self.holding / self.found, below_one=self.found < 1)
        else:
            admitted, self._fell_at = self._admitted_at > self._fell_at, now
            self._fall(levels.after_fall(running, admitted=admitted), why="refusals")

    def _set(self, level: float) -> None:
        """From now on the limit is this one, for certain."""
        self._levels.set(level)
        self.found, self.slots = level, max(1, int(level))

    def _fall(self, found: float, *, why: str) -> None:
        self._set(found)
        self.why = why
        self.generation += 1
        self._queueing.fell()
        self._probes.fell(self._clock(), each=self.holding / found, below_one=found < 1)
