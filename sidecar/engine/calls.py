"""Layers 5 to 8 of one provider call: retry around gate, limit and attempt.

A retry belongs to its call, pauses without a slot, and keeps the call's turn. Nothing is retried that the provider
may have begun to work on.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from sidecar.engine.deadline import Point
from sidecar.engine.gate import Gate
from sidecar.engine.limit import Limit, backoff
from sidecar.engine.rate import Rate
from sidecar.engine.turns import Ticket
from sidecar.words.errors import DeadlineExceeded, RateLimited, UpstreamError, UpstreamFailure
from sidecar.words.ports import Call, Completion, Upstream

MOST_RETRIES: Final = 8
"""Of one call; the deadline usually ends it sooner."""

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
    prompt_tokens: int = 0
    completion_tokens: int = 0
    shared: str = ""
    """`flight` where it joined work under way, `kept` where the answer was there already, `job` where it was one."""
    job: str = ""
    """The job that goes on without this caller."""


class Attempt:
    """One try at the provider: when it began, and when a stream's first event came."""

    __slots__ = ("first", "started")

    def __init__(self, started: float) -> None:
        self.started = started
        self.first: float | None = None


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
        self.gate = Gate(slots=concurrency, clock=clock)
        self.answered = Rate(clock)
        """Provider calls answered, a second."""
        self.upstream = upstream
        self.clock = clock
        self.sleep = sleep
        self._reopening: asyncio.TimerHandle | None = None
        self._probes: set[object] = set()

    def open_after(self, ready: asyncio.Task[None]) -> None:
        """Grant nothing before `ready` is done, so that no call's measured time has the adapter's loading in it."""
        self.gate.slots = 0
        ready.add_done_callback(lambda _: self._reopen())

    @property
    def idle(self) -> bool:
        """Whether no call is under way or waiting."""
        return not self.gate.running and not self.gate.waiting

    @property
    def probing(self) -> bool:
        """Whether a call that began while the provider was thought down is to show whether it still is."""
        return bool(self._probes)

    def wait(self, user: str, *, background: bool = False) -> float:
        """Seconds until a new call of `user` gets its slot, as far as can be told; 0 before anything was measured."""
        limit = self.limit
        free = self.gate.running < self.gate.slots and not self.gate.waiting
        ahead = 0 if free else self.gate.rank(user, background=background) + 1
        return limit.pause + ahead * limit.holding / limit.found

    def drained(self, requests: int) -> float:
        """Seconds that so many requests take, by the answers of late or, where a burst has just begun, of all slots."""
        limit = self.limit
        full = limit.found / limit.holding if limit.holding else 0.0
        return limit.pause + requests / max(1.0, self.answered.per_second(), full)

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
        retries, tried_once = 0, False
        while True:
            try:
                async with self.attempt(ticket, trace, deadline, resumed=resumed, longest=longest) as tried:
                    completion = await self.upstream.complete(call, deadline=tried.started + longest)
                break
            except UpstreamFailure as failure:
                pause = self.pause(failure, retries, deadline, tried_once=tried_once)
                if pause is None:
                    raise
                if not await self.paused(pause):
                    raise
                tried_once = tried_once or failure.once
            retries, resumed = retries + 1, True
        trace.prompt_tokens += completion.prompt_tokens
        trace.completion_tokens += completion.completion_tokens
        return completion

    def pause(self, failure: UpstreamFailure, retries: int, deadline: Point, *, tried_once: bool) -> float | None:
        """Seconds until the next try; None where it must not or cannot be made.

        `tried_once`: whether a failure that allows `once` was followed by a try already.
        """
        if not failure.retryable or retries >= MOST_RETRIES or self.limit.breaker == "open":
            return None
        if failure.once and tried_once:
            return None
        from random import random  # noqa: PLC0415 - late: it costs the one-shot process milliseconds

        pause = max(failure.retry_after or 0.0, self.limit.pause) + backoff(retries, random())  # noqa: S311
        if self.clock() + pause + self.limit.duration >= deadline.at or not self.limit.may_retry():
            return None
        return pause

    async def paused(self, seconds: float) -> bool:
        """Wait; whether the next try may still be made: the provider may have turned out to be down meanwhile."""
        await self.sleep(seconds)
        return self.limit.breaker != "open"

    @asynccontextmanager
    async def attempt(
        self, ticket: Ticket, trace: Trace, deadline: Point, *, resumed: bool, longest: float = FAR
    ) -> AsyncIterator[Attempt]:
        """Hold a slot for one attempt, whose outcome the limit learns.

        Raises `RateLimited` where the provider asks for silence beyond the deadline.
        """
        pause = self.limit.pause
        if pause and not ticket.patient and self.clock() + pause > deadline.at:
            raise RateLimited(retry_after=pause)
        if 0 < self.gate.slots < self.limit.slots:
            self._set_slots()  # what the limit forgot meanwhile, no outcome has told the gate
        probe = object()
        if self.limit.breaker == "open":
            self._probes.add(probe)
        try:
            async with self.gate.slot(ticket, deadline=deadline, resumed=resumed) as waited:
                trace.queued += waited
                trace.calls += 1
                generation, started = self.limit.generation, self.clock()
                tried = Attempt(started)
                try:
                    yield tried
                except UpstreamFailure as failure:
                    self.limit.failed(failure, generation, running=self.gate.running - 1)
                    raise
                except (asyncio.CancelledError, DeadlineExceeded):
                    if self.clock() >= min(deadline.at, started + longest):
                        self.limit.timed_out(self.clock() - started, generation, UpstreamError(_SILENT))
                    raise
                else:
                    self.answered.count()
                    saturated = self.gate.running >= self.gate.slots
                    first = None if tried.first is None else tried.first - started
                    self.limit.succeeded(self.clock() - started, generation, saturated=saturated, first=first)
                finally:
                    trace.upstream += self.clock() - started
                    self.follow(leaving=1)
        finally:
            self._probes.discard(probe)

    def begun(self, tried: Attempt) -> None:
        """The first event of a stream came."""
        tried.first = self.clock()
        if self.limit.begun():
            self.follow()
            self.gate.grant()

    def follow(self, *, leaving: int = 0) -> None:
        """Let the gate grant what the limit now says, `leaving` being those whose slots come free in a moment."""
        if self.limit.breaker == "closed":
            self._probes.clear()
        if (refusal := self.limit.refusal(idle=False)) is not None:
            self.gate.refuse_waiting(refusal)
        if pause := self.limit.pause:
            self.gate.refuse_due(self.clock() + pause, RateLimited(retry_after=pause))
        self._set_slots(leaving)

    def _set_slots(self, leaving: int = 0) -> None:
        slots = self.limit.slots
        if slots and self.limit.breaker == "open":
            # Those that began before it opened, a stream of minutes maybe, must not keep the probe waiting.
            slots = min(self.limit.ceiling, slots + self.gate.running - leaving)
        self.gate.slots = slots
        if self.limit.pause and self._reopening is None:
            self._reopening = asyncio.get_running_loop().call_later(self.limit.pause, self._reopen)

    def _reopen(self) -> None:
        self._reopening = None
        self._set_slots()
        self.gate.grant()


_SILENT: Final = "The AI provider does not answer in time. Please try again later."
