"""Layers 5 to 8 of one provider call: retry around gate, limit and attempt.

A refused call goes back to the head of its user's turn and costs nothing. Another retry belongs to its call, pauses
without a slot, and keeps the call's turn. Nothing is retried that the provider may have begun to work on.
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
"""Of one call that did not reach the provider; the deadline usually ends it sooner."""

SHED_SECONDS: Final = 0.25
"""Between two looks at who waits in vain."""

LONGEST_AGAIN: Final = 60.0
"""Seconds that callers who were refused before put off when one is told to come again, at most: few of them do."""

FAR: Final = 3600.0
"""Seconds an attempt may take by itself. Its waiters' deadlines end it sooner, by cancelling it: they may move."""


class Trace(msgspec.Struct, kw_only=True):
    """What one request cost, for its line in the log. Times in seconds."""

    queued: float = 0.0
    """Waited for slots, over all its calls."""
    upstream: float = 0.0
    """Spent in attempts, over all its calls."""
    calls: int = 0
    """Attempts, retries included."""
    refused: int = 0
    """Those of them that the provider refused for want of room: they cost nothing."""
    answered: int = 0
    """Those of them that were answered."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    shared: str = ""
    """`flight` where it joined work under way, `kept` where the answer was there already, `job` where it was one."""
    job: str = ""
    """The job that goes on without this caller."""

    def ended_by(self, error: SidecarError) -> SidecarError:
        """What the caller hears of `error`: where all was refused until the deadline, it was the provider's limit."""
        if isinstance(error, DeadlineExceeded) and self.refused and not self.tried:
            return RateLimited()
        return error

    @property
    def tried(self) -> bool:
        """Whether a call failed otherwise than for want of room."""
        return self.calls > self.refused + self.answered


class Attempt:
    """One try at the provider: when it began, and when a stream's first event came."""

    __slots__ = ("first", "grant", "started")

    def __init__(self, started: float, grant: Grant) -> None:
        self.started = started
        self.grant = grant
        self.first: float | None = None


class Retries:
    """What one call has behind it: tries that did not reach the provider."""

    def __init__(self) -> None:
        self.count = 0
        self.once = False
        """Whether a failure that allows one other try was followed by it."""


class Calls:
    """The provider as the actions' partners use it."""

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
        self.gate.woken = self.follow
        self._events = LimitEvents(self.limit)
        self.answered = Rate(clock)
        """Provider calls answered, a second."""
        self.upstream = upstream
        self.clock = clock
        self.sleep = sleep
        self._probes: set[object] = set()
        self._shed_at = -math.inf
        self._come_again = -math.inf
        """When the caller refused last was told to come again."""

    def open_after(self, ready: asyncio.Task[None]) -> None:
        """Grant nothing before `ready` is done, so that no call's measured time has the adapter's loading in it."""
        self.gate.closed = True
        ready.add_done_callback(lambda _: self._open())

    def _open(self) -> None:
        self.gate.closed = False
        self.gate.grant()

    @property
    def idle(self) -> bool:
        """Whether no call is under way or waiting."""
        return not self.gate.running and not self.gate.waiting

    @property
    def probing(self) -> bool:
        """Whether a call that began while the provider was thought down is to show whether it still is."""
        return bool(self._probes)

    def refusal(self) -> UpstreamFailure | None:
        """Why a new request is not let in because the provider is down, or None."""
        return self.limit.breaker.refusal(idle=not self.probing)

    def wait(self, user: str, *, background: bool = False) -> float:
        """Seconds until a new call of `user` gets its slot, as far as can be told; 0 before anything was measured."""
        limit = self.limit
        free = self.gate.running < limit.slots and not self.gate.waiting
        ahead = 0 if free else self.gate.rank(user, background=background) + 1
        return max(limit.pause, limit.spaced if limit.found < 1 else 0.0) + ahead * limit.holding / limit.expected

    def drained(self, requests: int) -> float:
        """Seconds that so many requests take, by the answers of late or, where a burst has just begun, of all slots."""
        limit = self.limit
        full = limit.expected / limit.holding if limit.holding else 0.0
        return limit.pause + requests / max(1.0, self.answered.per_second(), full)

    def come_again(self, late: float) -> float:
        """Seconds after which a caller who would be `late` seconds too late would not be.

        Who is refused after him comes again after him, as the provider works calls off: all at once they would be
        refused again.
        """
        limit, now = self.limit, self.clock()
        after = min(self._come_again + limit.holding / limit.expected, now + late + LONGEST_AGAIN)
        self._come_again = max(now + late, after)
        return self._come_again - now

    async def complete(
        self,
        call: Call,
        ticket: Ticket,
        trace: Trace,
        *,
        deadline: Point,
        resumed: bool = False,
        longest: float = FAR,
    ) -> Completion:
        """The answer to `call`; raises what ended its last attempt. `longest` is the seconds of one attempt."""
        retries = Retries()
        while True:
            try:
                async with self.attempt(ticket, trace, deadline, resumed=resumed, longest=longest) as tried:
                    completion = await self.upstream.complete(call, deadline=tried.started + longest)
                break
            except UpstreamFailure as failure:
                if not await self.again(failure, retries, deadline):
                    raise
            resumed = True
        trace.prompt_tokens += completion.prompt_tokens
        trace.completion_tokens += completion.completion_tokens
        return completion

    async def again(self, failure: UpstreamFailure, retries: Retries, deadline: Point) -> bool:
        """Wait as long as the next try needs; whether it may be made."""
        if self.limit.breaker.opened_by is not None or not failure.retryable:
            return False
        if failure.scope == "capacity":
            return True  # the gate knows when
        if retries.count >= MOST_RETRIES or (failure.once and retries.once):
            return False
        from random import random  # noqa: PLC0415 - late: it costs the one-shot process milliseconds

        pause = max(failure.retry_after or 0.0, backoff(retries.count, random()))  # noqa: S311
        if self.clock() + pause + self.limit.duration >= deadline.at:
            return False
        retries.count, retries.once = retries.count + 1, retries.once or failure.once
        await self.sleep(pause)
        return self.limit.breaker.opened_by is None  # it may have turned out to be down meanwhile

    @asynccontextmanager
    async def attempt(
        self, ticket: Ticket, trace: Trace, deadline: Point, *, resumed: bool, longest: float = FAR
    ) -> AsyncIterator[Attempt]:
        """Hold a slot for one attempt, whose outcome the limit learns.

        Raises `RateLimited` where the provider asks for silence beyond the deadline.
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
                    self.follow()
        finally:
            self._probes.discard(probe)

    def begun(self, tried: Attempt) -> None:
        """The first event of a stream came."""
        tried.first = self.clock()
        if self.limit.begun(tried.grant):
            self.follow()
            self.gate.grant()

    def follow(self) -> None:
        """Tell those who wait what the limit now says of their chances."""
        limit = self.limit
        if limit.untaught and limit.breaker.opened_by is None and self._events.told == limit.found and not self._probes:
            return
        now = self.clock()
        self._events.tell(now)
        if limit.breaker.opened_by is None:
            self._probes.clear()
        elif (refusal := limit.breaker.refusal(idle=False)) is not None:
            self.gate.refuse_waiting(refusal)
        if pause := limit.pause:
            self.gate.refuse_due(now + pause, RateLimited(retry_after=pause))
        if self.gate.waiting and limit.fact and limit.holding and now - self._shed_at >= SHED_SECONDS:
            self._shed_at = now
            self.gate.shed(limit.holding / limit.expected, limit.duration, self.come_again)


def backoff(attempt: int, chance: float) -> float:
    """Seconds before retry number `attempt` (from 0): doubling from 0.2 s to 5 s, half of it by `chance` (0 to 1)."""
    return min(5.0, 0.2 * 2.0**attempt) * (0.5 + chance / 2)
