"""The engine: from a checked request to a reply, through action, gate and provider. It never raises for a bad one.

Every door opens the same engine. It knows no HTTP status, no stream of bytes and no outside library.
"""

import asyncio
import math
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import msgspec

from sidecar.core import events
from sidecar.core.contract import Reply, Request, answered, failed
from sidecar.core.errors import (
    DeadlineExceeded,
    InternalError,
    JobGoesOn,
    Overloaded,
    RateLimited,
    ShuttingDown,
    SidecarError,
)
from sidecar.engine.actions import ACTIONS, Limits
from sidecar.engine.actions.rounds import rounds
from sidecar.engine.admission import Admission, Place
from sidecar.engine.completer import Completer, SplitterPort
from sidecar.engine.deadline import Deadline, Point
from sidecar.engine.kernel import Kernel
from sidecar.engine.limiter.calls import Trace
from sidecar.engine.limiter.fair_queue import Ticket
from sidecar.engine.offload import Offloaded, OffloadPort
from sidecar.engine.single_flight import Work


class RequestContext(msgspec.Struct, frozen=True, kw_only=True):
    """What a door knows of whatever it is asked."""

    deadline: float
    """The point on the monotonic clock by which the caller must have his answer."""
    request_id: str
    door: str
    """Which way in: "ai", "stdio" …"""
    origin: str = ""
    """Whose turn it takes where the request names no user, such as the caller's address."""
    arrived: float
    """The point on the monotonic clock when it came."""
    place: Place | None = None
    """The place it holds; given back early, but for its bytes, where it joins work that is under way already."""
    patient: bool = False
    """Whether it rather waits than hears that it will not be served in time (lines of a file)."""
    fresh: bool = False
    """Whether a kept answer will not do."""

    @property
    def reader(self) -> str:
        """Who asks; blank where the request names nobody."""
        raise NotImplementedError

    @property
    def user(self) -> str:
        """Whose turn it takes."""
        return self.reader or f"@{self.origin}"


class ActionRequest(RequestContext, frozen=True, kw_only=True):
    """A request with what its door knows of it."""

    request: Request

    @property
    def reader(self) -> str:
        return self.request.user_id


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """A reply with what its door may add to it."""

    reply: Reply
    retry_after: float | None = None
    """Seconds after which asking again makes sense."""


class Engine:
    """Admission, flights and the provider of one process."""

    def __init__(
        self,
        kernel: Kernel,
        splitter: SplitterPort,
        *,
        admission: Admission,
        limits: Limits,
        html_safe: bool = False,
        elsewhere: OffloadPort | None = None,
    ) -> None:
        self.admission = admission
        self.kernel = kernel
        self.calls = kernel.calls
        self.flights = kernel.flights
        self.keys = kernel.keys
        self.pseudonym = kernel.pseudonym
        self.splitter = splitter
        self.clock = kernel.calls.clock
        self.answers: Counter[str] = Counter()
        """Requests by code since the start; `ok` are the answered ones, `cancelled` those whose caller left."""
        self.limits = limits
        self._html_safe = html_safe
        self._offloaded = Offloaded(elsewhere) if elsewhere is not None else None
        self._stop_at = math.inf
        self._running: set[asyncio.Timeout] = set()
        self._idle: asyncio.Event | None = None

    def drain(self, grace: float) -> None:
        """Admit nothing more; what was accepted has `grace` seconds to end, then its reply is `shutting_down`."""
        self.admission.close()
        self._stop_at = min(self._stop_at, self.clock() + grace)
        for timeout in self._running:
            if (when := timeout.when()) is None or when > self._stop_at:
                timeout.reschedule(self._stop_at)

    async def emptied(self) -> None:
        """Return once nothing is held and nobody waits, joiners of flights included."""
        await self.admission.emptied()
        while self._running:
            self._idle = self._idle or asyncio.Event()
            await self._idle.wait()

    async def answer(self, ask: ActionRequest) -> Outcome:
        """The reply to `ask`, by its deadline; one line in the log."""
        trace = Trace()
        try:
            async with self.limited(ask.deadline):
                text = await self._text(ask, trace)
            outcome = Outcome(reply=answered(text, html_safe=self._html_safe))
        except SidecarError as exc:
            goes_on = trace.job and isinstance(exc, DeadlineExceeded)
            error = JobGoesOn(trace.job) if goes_on else trace.ended_by(exc)
            outcome = Outcome(reply=failed(error), retry_after=error.retry_after)
        except asyncio.CancelledError:
            self.report(ask, trace, ask.request.action, "cancelled")
            raise
        except Exception as exc:  # noqa: BLE001 - the engine's outermost: a fault of ours is a reply too
            events.fault("internal", exc, request_id=ask.request_id)
            outcome = Outcome(reply=failed(InternalError()))
        self.report(ask, trace, ask.request.action, outcome.reply.code)
        return outcome

    @asynccontextmanager
    async def limited(self, deadline: float) -> AsyncIterator[None]:
        """End the block: at `deadline` with `DeadlineExceeded`, when the time to drain is over with `ShuttingDown`."""
        try:
            async with asyncio.timeout_at(min(deadline, self._stop_at)) as timeout:
                self._running.add(timeout)
                try:
                    yield
                finally:
                    self._running.discard(timeout)
                    if not self._running and self._idle is not None:
                        self._idle.set()
                        self._idle = None
        except TimeoutError as exc:
            raise (ShuttingDown if self._stop_at < deadline else DeadlineExceeded) from exc

    async def _text(self, ask: ActionRequest, trace: Trace) -> str:
        """The answer's text: shared where it may be, by the action otherwise."""

        async def act(deadline: Point) -> str:
            ticket = Ticket(ask.user, patient=ask.patient)
            completer = Completer(self.kernel, self.splitter, ticket, trace, deadline, user_id=ask.request.user_id)
            return await ACTIONS[ask.request.action](ask.request, completer, self.limits)

        calls = rounds(ask.request, self.limits)
        key = self.keys.of_request(ask.request)
        if key is None:
            self.admit(ask, calls)
            return await act(Deadline(ask.deadline))
        offloaded = self._offloaded
        if offloaded is None:
            return await self.share(key, act, ask, trace, calls)

        async def send(deadline: Point) -> str:
            trace.shared = "job"
            late = msgspec.structs.replace(ask, deadline=deadline.at)
            admit, here = partial(self.admit, late, calls), partial(act, deadline)
            return await offloaded.text(key, ask.request, admit=admit, here=here)

        try:
            # A kept answer will not do where one is asked for anew, and a finished job is one.
            again = ask.fresh or self.flights.kept.had(key, ask.reader)
            if not again and offloaded.takes(ask.request):
                return await self.share(key, send, ask, trace, 0)
            return await self.share(key, act, ask, trace, calls)
        except asyncio.CancelledError:
            # Before the flight, which may have lost its last waiter now, hears of it. Joiners too.
            trace.job = offloaded.job(key)
            raise

    async def share(self, key: bytes, work: Work, asking: RequestContext, trace: Trace, calls: int) -> str:
        """What is kept under `key`, is under way, or `work` makes now; only the last asks for admission.

        `calls` are those that it makes here, one after another: with none there is nothing to ask for.
        """
        if key not in self.flights:
            kept = None if asking.fresh else self.flights.find(key, asking.reader)
            if kept is not None:
                trace.shared = "kept"
                return kept
            if calls:
                self.admit(asking, calls)
        else:
            trace.shared = "flight"
            if asking.place is not None:
                self.admission.step_aside(asking.place)
        return await self.flights.share(key, work, deadline=Deadline(asking.deadline), reader=asking.reader)

    def admit(self, asking: RequestContext, calls: int, *, background: bool = False) -> None:
        """Raise where what is asked cannot be served, or not in time: it makes `calls` one after another."""
        if (refusal := self.calls.refusal()) is not None:
            raise refusal.again()
        if asking.patient:
            return
        if self.clock() >= asking.deadline:
            raise DeadlineExceeded
        left = asking.deadline - self.clock()
        if (pause := self.calls.limit.pause) > left:
            raise RateLimited(retry_after=pause)
        wait = self.calls.expected_wait(asking.user, background=background)
        if not self.calls.idle:
            # With nothing under way the measured time may be an old one, and a try is the way to a new one.
            wait += calls * self.calls.limit.duration
        if wait > left:
            raise Overloaded(retry_after=self.calls.retry_after(wait - left))

    def refused(self, error: SidecarError, *, door: str, request_id: str) -> None:
        """Count and log a request that its door refused; a full house tells how long what it holds will take."""
        if isinstance(error, Overloaded) and error.retry_after is None:
            error.retry_after = self.calls.drain_seconds(self.admission.held)
        self.answers[error.code] += 1
        events.info("refused", request_id=request_id, door=door, code=error.code)

    def report(self, ask: RequestContext, trace: Trace, action: str, code: str | None) -> None:
        """Count and log what became of `ask`; no code is success."""
        self.answers[code or "ok"] += 1
        events.info(
            "answered",
            request_id=ask.request_id,
            door=ask.door,
            action=action,
            code=code or "ok",
            seconds=round(self.clock() - ask.arrived, 4),
            queued=round(trace.queued, 4),
            upstream=round(trace.upstream, 4),
            calls=trace.calls,
            prompt_tokens=trace.prompt_tokens,
            completion_tokens=trace.completion_tokens,
            **({"shared": trace.shared} if trace.shared else {}),
        )
