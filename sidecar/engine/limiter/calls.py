"""Layers 5 to 8 of one provider call: retry around gate, limit and attempt.

A refused call goes back to the head of its user's turn. Any other retry pauses without a slot and keeps the call's
turn. The rule for what is retried is in retry.py.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Collection
from functools import partial
from typing import Any, Final

from sidecar.core.errors import RateLimited, UpstreamFailure
from sidecar.core.observations import Observers
from sidecar.core.ports import Call, Completion
from sidecar.core.reach import EVERY, NoProvider, Reach
from sidecar.engine.deadline import Point
from sidecar.engine.limiter.attempt import Attempt
from sidecar.engine.limiter.attempting import Attempting
from sidecar.engine.limiter.futility import futile
from sidecar.engine.limiter.gate import Gate
from sidecar.engine.limiter.limit import Limit
from sidecar.engine.limiter.pool import Pool
from sidecar.engine.limiter.pooled_limit import PooledLimit
from sidecar.engine.limiter.provider import Passed, Provider, never_worked_on
from sidecar.engine.limiter.rate import Rate
from sidecar.engine.limiter.retry import Retries
from sidecar.engine.limiter.ticket import Ticket
from sidecar.engine.limiter.token_estimate import tokens_of
from sidecar.engine.limiter.trace import Trace

SHED_SECONDS: Final = 0.25
"""Seconds between two searches for waiting calls that cannot be served in time."""

LONGEST_RETRY_AFTER: Final = 60.0
"""Seconds that a caller's `Retry-After` grows for callers refused earlier, at most: few of those come again."""

LONGEST_ATTEMPT: Final = 3600.0
"""Seconds that one attempt may take. Deadlines of its waiters, which may move, end it sooner by cancelling it."""


class Calls:
    """Provider calls with retry, fair queue, limits and breakers, for actions and raw completions."""

    def __init__(
        self,
        pool: Pool,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.pool = pool
        self.observers = Observers()
        self.gate = Gate(pool, clock=clock)
        self.gate.on_timer = self.review_waiting
        pool.changed = self._providers_changed
        self.answered = Rate(clock)
        """Rate of answered provider calls per second."""
        self.clock = clock
        self.sleep = sleep
        self._probes: dict[object, Reach] = {}
        self._shed_at = -math.inf
        self._retry_at: dict[tuple[Provider, ...], float] = {}
        """Point on the clock at which the caller refused last may come again, by the providers of its reach."""

    @property
    def limit(self) -> Limit | PooledLimit:
        """The limit of all providers together."""
        return self.pool.limit

    def _providers_changed(self) -> None:
        """Send waiting calls to the new providers."""
        self._retry_at.clear()
        self.gate.refuse_unserved()
        self.review_waiting()
        self.gate.grant()

    def open_after(self, ready: "asyncio.Future[Any] | None") -> None:
        """Grant calls only once `ready` is done, so that measured call times exclude the client's loading."""
        if ready is None:
            return
        self.gate.closed = True
        ready.add_done_callback(lambda _: self._open())

    def _open(self) -> None:
        self.gate.closed = False
        self.gate.grant()

    @property
    def idle(self) -> bool:
        """Return whether no call is in flight or waiting."""
        return not self.gate.running and not self.gate.waiting

    def retries(self, ticket: Ticket) -> Retries:
        """Return the state of a new call's retries."""
        passed = None if self.pool.only is not None else Passed()
        return Retries(ticket.reach, passed, unattended=ticket.unattended)

    def probing(self, reach: Reach = EVERY["interactive"]) -> bool:
        """Return whether a probe of these providers' open breakers is in flight or waits for its slot."""
        return any(self.pool.serving(other) == self.pool.serving(reach) for other in self._probes.values())

    def refusal(self, reach: Reach = EVERY["interactive"]) -> UpstreamFailure | None:
        """Return the error for a new request of this reach where it has no provider, or while all are down."""
        if not self.pool.serving(reach):
            return NoProvider()
        return self.pool.limit_of(reach).breaker.refusal(idle=not self.probing(reach))

    def drain_seconds(self, requests: int) -> float:
        """Return the seconds that `requests` take."""
        return self.limit.pause + requests / self.drain_rate

    @property
    def drain_rate(self) -> float:
        """Return requests a second: the rate of recent answers or, in a young burst, of all slots."""
        full = self.limit.expected / self.limit.holding if self.limit.holding else 0.0
        return max(1.0, self.answered.per_second(), full)

    def retry_after(self, late: float, reach: Reach = EVERY["interactive"]) -> float:
        """Return the `Retry-After` seconds of a caller whose answer would come `late` seconds after the deadline.

        Each refused caller gets a point after that of the caller refused before, as far apart as calls end at the
        providers: refused callers that come back all at once would be refused again.
        """
        limit, now, serving = self.pool.limit_of(reach), self.clock(), self.pool.serving(reach)
        before = self._retry_at.get(serving, -math.inf)
        after = min(before + limit.holding / limit.expected, now + late + LONGEST_RETRY_AFTER)
        self._retry_at[serving] = max(now + late, after)
        return self._retry_at[serving] - now

    async def complete(
        self,
        call: Call,
        ticket: Ticket,
        trace: Trace,
        *,
        deadline: Point,
        resumed: bool = False,
        longest: float = LONGEST_ATTEMPT,
    ) -> Completion:
        """Return the answer to `call`, or raise the error of its last attempt; `longest`: seconds of one attempt."""
        retries = self.retries(ticket)
        while True:
            try:
                retries.count_earlier(ticket, trace)
                async with self.attempt(ticket, trace, deadline, retries, resumed=resumed, longest=longest) as tried:
                    sent = call if trace.span is None else tried.traced(call, trace.span)
                    completion = await tried.provider.upstream.complete(sent, deadline=tried.started + longest)
                    tried.answered(completion)
                break
            except UpstreamFailure as failure:
                if not await self.wait_for_retry(failure, retries, deadline):
                    raise
            resumed = True
        # No lambda: its cells would be made for every caller that waits.
        estimate = partial(tokens_of, call, len(completion.text))
        trace.used(completion.prompt_tokens, completion.completion_tokens, estimate=estimate)
        return completion

    async def wait_for_retry(self, failure: UpstreamFailure, retries: Retries, deadline: Point) -> bool:
        """Pause before the next attempt; return whether that attempt may be made."""
        limit = self.pool.limit_of(retries.reach)
        if limit.breaker.opened_by is not None:
            return False
        if retries.passed is not None and self._moves_on(failure, retries.passed, retries.reach):
            return True  # the gate decides when
        pause = retries.pause_after(failure)
        if pause is None:
            return False
        if pause == 0:
            now, reach = self.clock(), retries.reach
            return retries.unattended or not futile(self.pool, self.gate, reach, now=now, until=deadline.at)
        if self.clock() + pause + limit.duration >= deadline.at:
            return False
        await self.sleep(pause)
        if retries.passed is not None:
            retries.passed.failed.clear()
        return limit.breaker.opened_by is None  # the breaker may have opened during the pause

    def _moves_on(self, failure: UpstreamFailure, passed: Passed, reach: Reach) -> bool:
        """Return whether another provider is up that may have the call, which cost nothing."""
        serving = self.pool.serving(reach)
        return never_worked_on(failure) and any(not (one.down or one in passed.failed) for one in serving)

    def attempt(
        self,
        ticket: Ticket,
        trace: Trace,
        deadline: Point,
        retries: Retries,
        *,
        resumed: bool,
        longest: float = LONGEST_ATTEMPT,
    ) -> Attempting:
        """Return the block that holds a slot for one attempt and reports its outcome to the provider's limit.

        Entering it raises `RateLimited` where the pause after the providers' refusals ends after the deadline, and
        `NoProvider` where no provider may have the call.
        """
        return Attempting(self, ticket, trace, deadline, retries, resumed=resumed, longest=longest)

    def probe_began(self, reach: Reach) -> object:
        """Count a call of this reach as a probe of open breakers; return what `probe_ended` takes."""
        probe = object()
        self._probes[probe] = reach
        return probe

    def probe_ended(self, probe: object) -> None:
        """Count a probe no more; None for a call that is none."""
        if probe is not None:
            self._probes.pop(probe, None)

    def succeeded(self, tried: Attempt, trace: Trace) -> None:
        """Record an answer."""
        trace.answered += 1
        trace.provider = tried.provider.name
        self.answered.count()
        first = None if tried.first is None else tried.first - tried.started
        tried.provider.limit.succeeded(tried.grant, running=tried.provider.running - 1, first=first)

    def stream_began(self, tried: Attempt, trace: Trace) -> None:
        """Record a stream's first event."""
        tried.first = self.clock()
        trace.provider = tried.provider.name
        if tried.provider.limit.answer_began(tried.grant):
            self.review_waiting()
            self.gate.grant()

    def review_waiting(self) -> None:
        """Log changes of the limits and refuse waiting calls that limits or breakers leave without a chance."""
        pool = self.pool
        if not self._probes and pool.settled:
            return
        now = self.clock()
        for provider in pool.providers:
            provider.events.log_changes(now)
        sheds = now - self._shed_at >= SHED_SECONDS
        if pool.only is not None:
            self._review(pool.only.limit, {*self.gate.reaches, *self._probes.values()}, now, sheds=sheds)
            return
        self.gate.retry_stranded()
        for limit, reaches in pool.views((*self.gate.reaches, *self._probes.values())):
            self._review(limit, reaches, now, sheds=sheds)

    def _review(self, limit: Limit | PooledLimit, reaches: Collection[Reach], now: float, *, sheds: bool) -> None:
        """Refuse waiting calls of these reaches, which share `limit`, where they have no chance."""
        if limit.breaker.opened_by is None:
            if self._probes:
                self._probes = {probe: reach for probe, reach in self._probes.items() if reach not in reaches}
        elif (refusal := limit.breaker.refusal(idle=False)) is not None:
            self.gate.refuse_waiting(refusal, reaches)
        if pause := limit.pause:
            self.gate.refuse_due(now + pause, RateLimited(retry_after=pause), reaches)
        if self.gate.waiting and limit.fact and limit.holding and sheds:
            self._shed_at = now
            retry_after = partial(self.retry_after, reach=next(iter(reaches)))
            self.gate.shed(limit.holding / limit.expected, limit.duration, retry_after, reaches)
