"""One attempt as an `async with` block: a slot, the times, and the outcome for the provider's limit and observers.

A class with two methods, since a generator for each call costs as much as all that they do.
"""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Protocol

from sidecar.core.errors import (
    ContextExceeded,
    DeadlineExceeded,
    InternalError,
    ModelUnknown,
    RateLimited,
    UpstreamFailure,
)
from sidecar.core.observations import Observers
from sidecar.core.reach import NoProvider, Reach
from sidecar.engine.deadline import Point
from sidecar.engine.limiter.attempt import Attempt
from sidecar.engine.limiter.gate import Gate, Granted
from sidecar.engine.limiter.pool import Pool
from sidecar.engine.limiter.provider import Passed
from sidecar.engine.limiter.retry import Retries
from sidecar.engine.limiter.ticket import Ticket
from sidecar.engine.limiter.trace import Trace


class Owner(Protocol):
    """The calls whose attempts these are."""

    pool: Pool
    gate: Gate
    clock: Callable[[], float]
    observers: Observers

    def probe_began(self, reach: Reach) -> object: ...

    def probe_ended(self, probe: object) -> None: ...

    def succeeded(self, tried: Attempt, trace: Trace) -> None: ...

    def review_waiting(self) -> None: ...


class Attempting:
    """Holds a slot for one attempt and reports the outcome. `longest`: seconds of the attempt, at most.

    Entering raises `RateLimited` where the pause after the providers' refusals ends after the deadline, `NoProvider`
    where no provider may have the call, and what `Gate.enter` raises.
    """

    __slots__ = ("_calls", "_deadline", "_longest", "_probe", "_resumed", "_retries", "_ticket", "_trace", "_tried")

    def __init__(
        self,
        calls: Owner,
        ticket: Ticket,
        trace: Trace,
        deadline: Point,
        retries: Retries,
        *,
        resumed: bool,
        longest: float,
    ) -> None:
        self._calls = calls
        self._ticket = ticket
        self._trace = trace
        self._deadline = deadline
        self._retries = retries
        self._resumed = resumed
        self._longest = longest
        self._probe: object = None

    async def __aenter__(self) -> Attempt:
        calls, ticket, retries = self._calls, self._ticket, self._retries
        if not calls.pool.serving(ticket.reach):
            raise NoProvider
        limit, since = calls.pool.limit_of(ticket.reach), calls.clock()
        if (pause := limit.pause) and not ticket.patient and since + pause > self._deadline.at:
            raise RateLimited(retry_after=pause)
        if limit.breaker.opened_by is not None:
            self._probe = calls.probe_began(ticket.reach)
        try:
            granted = await calls.gate.enter(ticket, self._deadline, retries.passed, resumed=self._resumed)
        except BaseException:
            calls.probe_ended(self._probe)
            raise
        return self.begin(granted, started := calls.clock(), queued=started - since)

    def begin(self, granted: Granted, started: float, *, queued: float = 0.0) -> Attempt:
        """Record an attempt that began at `started` on the clock, with the slot that it holds."""
        trace, retries = self._trace, self._retries
        trace.queued += queued
        trace.calls += 1
        retries.attempts += 1
        self._tried = Attempt(started, *granted, number=retries.attempts, queued=queued)
        return self._tried

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.end(exc)

    def end(self, exc: BaseException | None) -> None:
        """Report the attempt's outcome, give its slot back."""
        calls, tried, trace = self._calls, self._tried, self._trace
        try:
            try:
                code, scope = self._outcome(exc)
            finally:
                trace.upstream += (seconds := calls.clock() - tried.started)
            calls.observers.call_ended(tried.end(code, scope, seconds))
            calls.review_waiting()
        finally:
            calls.gate.leave(self._ticket, (tried.provider, tried.grant))
            calls.probe_ended(self._probe)

    def _outcome(self, exc: BaseException | None) -> tuple[str, str]:
        """Report how the attempt ended to its provider's limit; return code and scope."""
        tried, calls = self._tried, self._calls
        if exc is None:
            calls.succeeded(tried, self._trace)
            return "ok", ""
        if isinstance(exc, UpstreamFailure):
            self._trace.refused += exc.scope == "capacity"
            _failed(tried, exc, self._retries.passed, unreported=calls.gate.unreported())
            return exc.code, exc.scope
        if isinstance(exc, asyncio.CancelledError | DeadlineExceeded):
            overdue = calls.clock() - min(self._deadline.at, tried.started + self._longest)
            if overdue < 0:
                return "cancelled", ""
            tried.provider.limit.timed_out(tried.grant, overdue=overdue)
            return DeadlineExceeded.code, ""
        return (InternalError.code if isinstance(exc, Exception) else "cancelled"), ""


def _failed(tried: Attempt, failure: UpstreamFailure, passed: Passed | None, *, unreported: int) -> None:
    """Record a failure, and put its provider into it."""
    provider, counted = tried.provider, failure
    if provider.name:
        failure.name_provider(provider.name)
    if isinstance(failure, ContextExceeded):
        failure.model = provider.model
    if passed is not None:
        passed.add(provider, failure)
        counted = failure.of_provider() if isinstance(failure, ModelUnknown) else failure
    provider.limit.failed(tried.grant, counted, running=provider.running - 1 + unreported)
