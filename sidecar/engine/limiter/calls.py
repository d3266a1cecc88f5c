"""Layers 5 to 8 of one provider call: retry around gate, limit and attempt.

A refused call goes back to the head of its user's turn and costs nothing. Any other retry pauses without a slot and
keeps the call's turn. A call that the provider may have begun to work on is never retried.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from sidecar.core.errors import DeadlineExceeded, RateLimited, SidecarError, UpstreamFailure
from sidecar.core.ports import Call, Completion, Upstream
from sidecar.engine.deadline import Point
from sidecar.engine.limiter.fair_queue import Ticket
from sidecar.engine.limiter.gate import Gate
from sidecar.engine.limiter.grant import Grant
from sidecar.engine.limiter.limit import Limit
from sidecar.engine.limiter.limit_events import LimitEvents
from sidecar.engine.limiter.rate import Rate

MOST_RETRIES: Final = 8
"""Retries of one call that did not reach the provider, at most; the deadline usually ends them sooner."""

SHED_SECONDS: Final = 0.25
"""Seconds between two searches for waiting calls that cannot be served in time."""

LONGEST_RETRY_AFTER: Final = 60.0
"""Seconds that a caller's `Retry-After` grows for callers refused earlier, at most: few of those come again."""

LONGEST_ATTEMPT: Final = 3600.0
"""Seconds that one attempt may take. Deadlines of its waiters, which may move, end it sooner by cancelling it."""


class Trace(msgspec.Struct, kw_only=True):
    """Costs of one request, for its line in the log. Times in seconds."""

    queued: float = 0.0
    """Waiting time for slots, over all calls of the request."""
    upstream: float = 0.0
    """Time in attempts, over all calls of the request."""
    calls: int = 0
    """Attempts, retries included."""
    refused: int = 0
    """Attempts that the provider refused for want of capacity: they cost nothing."""
    answered: int = 0
    """Attempts that were answered."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    shared: str = ""
    """`flight`: the request joined a call in flight; `kept`: its answer was cached; `job`: it was run as a job."""
    job: str = ""
    """The id of the job that goes on after the caller left."""

    def ended_by(self, error: SidecarError) -> SidecarError:
        """Return the error for the caller: `RateLimited` where every attempt was refused until the deadline."""
        if isinstance(error, DeadlineExceeded) and self.refused and not self.failed:
            return RateLimited()
        return error

    @property
    def failed(self) -> bool:
        """Return whether an attempt failed for another reason than want of capacity."""
        return self.calls > self.refused + self.answered


class Attempt:
    """One attempt at the provider: points on the clock of its start and of a stream's first event, and its grant."""

    __slots__ = ("first", "grant", "started")

    def __init__(self, started: float, grant: Grant) -> None:
        self.started = started
        self.grant = grant
        self.first: float | None = None


class Retries:
    """Retries of one call after attempts that did not reach the provider."""

    def __init__(self) -> None:
        self.count = 0
        self.once = False
        """Flag: the single retry after a failure with `once` is used up."""


class Calls:
    """Provider calls with retry, fair queue, limit and breaker, for actions and raw completions."""

    def __init__(
        self,
        upstream: Upstream,
        *,
        concurrency: int,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.limit = Limit(ceiling=concurrency, clock=clock)
        self.gate = Gate(self.limit, clock=clock)
        self.gate.on_timer = self.review_waiting
        self._events = LimitEvents(self.limit)
        self.answered = Rate(clock)
        """Rate of answered provider calls per second."""
        self.upstream = upstream
        self.clock = clock
        self.sleep = sleep
        self._probes: set[object] = set()
        self._shed_at = -math.inf
        self._retry_at = -math.inf
        """Point on the clock at which the caller refused last may come again."""

    def open_after(self, ready: asyncio.Task[None] | None) -> None:
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

    @property
    def probing(self) -> bool:
        """Return whether a probe of an open breaker is in flight or waits for its slot."""
        return bool(self._probes)

    def refusal(self) -> UpstreamFailure | None:
        """Return the error for a new request while the provider is down, or None."""
        return self.limit.breaker.refusal(idle=not self.probing)

    def expected_wait(self, user: str, *, background: bool = False) -> float:
        """Return the estimated seconds until a new call of `user` gets its slot; 0 before anything was measured."""
        limit = self.limit
        free = self.gate.running < limit.slots and not self.gate.waiting
        ahead = 0 if free else self.gate.rank(user, background=background) + 1
        return max(limit.pause, limit.spaced if limit.found < 1 else 0.0) + ahead * limit.holding / limit.expected

    def drain_seconds(self, requests: int) -> float:
        """Return the seconds that `requests` take, at the rate of recent answers or, in a young burst, of all slots."""
        limit = self.limit
        full = limit.expected / limit.holding if limit.holding else 0.0
        return limit.pause + requests / max(1.0, self.answered.per_second(), full)

    def retry_after(self, late: float) -> float:
        """Return the `Retry-After` seconds of a caller whose answer would come `late` seconds after the deadline.

        Each refused caller gets a point after that of the caller refused before, as far apart as calls end at the
        provider: refused callers that come back all at once would be refused again.
        """
        limit, now = self.limit, self.clock()
        after = min(self._retry_at + limit.holding / limit.expected, now + late + LONGEST_RETRY_AFTER)
        self._retry_at = max(now + late, after)
        return self._retry_at - now

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
        retries = Retries()
        while True:
            try:
                async with self.attempt(ticket, trace, deadline, resumed=resumed, longest=longest) as tried:
                    completion = await self.upstream.complete(call, deadline=tried.started + longest)
                break
            except UpstreamFailure as failure:
                if not await self.wait_for_retry(failure, retries, deadline):
                    raise
            resumed = True
        trace.prompt_tokens += completion.prompt_tokens
        trace.completion_tokens += completion.completion_tokens
        return completion

    async def wait_for_retry(self, failure: UpstreamFailure, retries: Retries, deadline: Point) -> bool:
        """Pause before the next attempt; return whether that attempt may be made."""
        if self.limit.breaker.opened_by is not None or not failure.retryable:
            return False
        if failure.scope == "capacity":
            return True  # the gate decides when
        if retries.count >= MOST_RETRIES or (failure.once and retries.once):
            return False
        from random import random  # noqa: PLC0415 - late: it costs the one-shot process milliseconds

        named = 0.0 if failure.vague else failure.retry_after or 0.0
        pause = max(named, backoff(retries.count, random()))  # noqa: S311
        if self.clock() + pause + self.limit.duration >= deadline.at:
            return False
        retries.count, retries.once = retries.count + 1, retries.once or failure.once
        await self.sleep(pause)
        return self.limit.breaker.opened_by is None  # the breaker may have opened during the pause

    @asynccontextmanager
    async def attempt(
        self, ticket: Ticket, trace: Trace, deadline: Point, *, resumed: bool, longest: float = LONGEST_ATTEMPT
    ) -> AsyncIterator[Attempt]:
        """Hold a slot for one attempt and report its outcome to the limit.

        Raises `RateLimited` where the pause after the provider's refusals ends after the deadline.
        """
        limit, since = self.limit, self.clock()
        if (pause := limit.pause) and not ticket.patient and since + pause > deadline.at:
            raise RateLimited(retry_after=pause)
        probe = object()
        if limit.breaker.opened_by is not None:
            self._probes.add(probe)
        try:
            async with self.gate.slot(ticket, deadline=deadline, resumed=resumed) as grant:
                started = self.clock()
                trace.queued += started - since
                trace.calls += 1
                tried = Attempt(started, grant)
                try:
                    yield tried
                except UpstreamFailure as failure:
                    trace.refused += failure.scope == "capacity"
                    limit.failed(grant, failure, running=self.gate.running - 1)
                    raise
                except (asyncio.CancelledError, DeadlineExceeded):
                    if (overdue := self.clock() - min(deadline.at, started + longest)) >= 0:
                        limit.timed_out(grant, overdue=overdue)
                    raise
                else:
                    trace.answered += 1
                    self.answered.count()
                    first = None if tried.first is None else tried.first - started
                    limit.succeeded(grant, running=self.gate.running - 1, first=first)
                finally:
                    trace.upstream += self.clock() - started
                    self.review_waiting()
        finally:
            self._probes.discard(probe)

    def stream_began(self, tried: Attempt) -> None:
        """Record a stream's first event."""
        tried.first = self.clock()
        if self.limit.answer_began(tried.grant):
            self.review_waiting()
            self.gate.grant()

    def review_waiting(self) -> None:
        """Log changes of the limit and refuse waiting calls that the limit or the breaker leaves without a chance."""
        limit = self.limit
        if limit.unset and limit.breaker.opened_by is None and self._events.logged == limit.found and not self._probes:
            return
        now = self.clock()
        self._events.log_changes(now)
        if limit.breaker.opened_by is None:
            self._probes.clear()
        elif (refusal := limit.breaker.refusal(idle=False)) is not None:
            self.gate.refuse_waiting(refusal)
        if pause := limit.pause:
            self.gate.refuse_due(now + pause, RateLimited(retry_after=pause))
        if self.gate.waiting and limit.fact and limit.holding and now - self._shed_at >= SHED_SECONDS:
            self._shed_at = now
            self.gate.shed(limit.holding / limit.expected, limit.duration, self.retry_after)


def backoff(attempt: int, chance: float) -> float:
    """Return the seconds before retry `attempt` (from 0): 0.2 s doubling to 5 s, half of it times `chance` (0 to 1)."""
    return min(5.0, 0.2 * 2.0**attempt) * (0.5 + chance / 2)
