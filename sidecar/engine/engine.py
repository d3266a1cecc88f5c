"""The engine: from a checked request to a reply, through action, gate and provider. A bad request never makes it raise.

Every way in leads to the same engine, which knows no HTTP status, no stream of bytes and no outside library.
"""

import asyncio
from collections.abc import Coroutine
from functools import partial
from typing import Any

import msgspec

from sidecar.core import events
from sidecar.core.contract import Reply, answered, failed
from sidecar.core.errors import DeadlineExceeded, InternalError, JobGoesOn, SidecarError
from sidecar.core.off_loop import THREAD_BYTES, off_loop
from sidecar.engine.actions import ACTIONS, Limits
from sidecar.engine.actions.rounds import rounds
from sidecar.engine.answer_cache import Key
from sidecar.engine.completer import Completer, SplitterPort
from sidecar.engine.deadline import Deadline, Point
from sidecar.engine.drain import Drain
from sidecar.engine.estimate import check_in_time
from sidecar.engine.formats.formatter import Formatter
from sidecar.engine.kernel import Kernel
from sidecar.engine.limiter.ticket import Ticket
from sidecar.engine.limiter.trace import Trace
from sidecar.engine.offload import Offloaded, OffloadPort
from sidecar.engine.request import ActionRequest
from sidecar.engine.request_log import RequestLog, traced
from sidecar.engine.sharing import share
from sidecar.engine.single_flight import Work


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """A reply, and what its route may add."""

    reply: Reply
    retry_after: float | None = None
    """Seconds after which another try makes sense."""


class Engine:
    """Answers requests for actions, over the kernel."""

    def __init__(
        self,
        kernel: Kernel,
        *,
        drain: Drain,
        log: RequestLog,
        splitter: SplitterPort,
        limits: Limits,
        formatter: Formatter | None = None,
        offload: OffloadPort | None = None,
    ) -> None:
        self._kernel = kernel
        self._drain = drain
        self._log = log
        self._splitter = splitter
        self._limits = limits
        self._formatter = formatter or Formatter()
        self._offloaded = Offloaded(offload) if offload is not None else None

    async def answer(self, request: ActionRequest) -> Outcome:
        """Return the reply to `request` by its deadline; write one line to the log."""
        trace, action = Trace(span=request.span, charge=request.charge), request.request.action
        error: SidecarError | None = None
        wanted = request.request.format
        try:
            with self._drain.within(request.deadline):
                text = await self._text(request, trace)
            said = await self._formatter.written(text, wanted, shared=action != "chat")
            reply = await off_loop(len(said), answered, said)
        except SidecarError as exc:
            goes_on = trace.job and isinstance(exc, DeadlineExceeded)
            error = JobGoesOn(trace.job) if goes_on else trace.ended_by(exc)
        except asyncio.CancelledError:
            self._log.ended(request, trace, action, None, left=True)
            raise
        except Exception as exc:  # noqa: BLE001 - the engine's outermost: a fault of ours is a reply too
            events.fault("internal", exc, request_id=request.request_id, **traced(request.span))
            error = InternalError()
        self._log.ended(request, trace, action, error)
        if error is not None:
            return Outcome(reply=failed(error), retry_after=error.retry_after)
        return Outcome(reply=reply)

    def _text(self, request: ActionRequest, trace: Trace) -> Coroutine[Any, Any, str]:
        """Return the coroutine of the answer's text, which is shared where the request has a key."""
        size = len(request.request.content)
        if size >= THREAD_BYTES:
            return self._large_text(request, trace, size)
        return self._shared_text(request, trace, self._kernel.keys.of_request(request.request))

    async def _large_text(self, request: ActionRequest, trace: Trace, size: int) -> str:
        key = await off_loop(size, self._kernel.keys.of_request, request.request)
        return await self._shared_text(request, trace, key)

    def _shared_text(self, request: ActionRequest, trace: Trace, key: Key[str] | None) -> Coroutine[Any, Any, str]:
        needed = rounds(request.request, self._limits)
        if key is None:
            check_in_time(self._kernel.calls, request, needed)
            return self._act(request, trace, Deadline(request.deadline))
        act = partial(self._act, request, trace)
        if self._offloaded is not None:
            return self._offload(self._offloaded, key, act, request, trace, needed=needed)
        return share(self._kernel, key, act, request, trace, needed=needed)

    def _act(self, request: ActionRequest, trace: Trace, deadline: Point) -> Coroutine[Any, Any, str]:
        """Run the action here."""
        ticket = Ticket(
            request.user,
            background=request.background,
            patient=request.patient,
            reach=request.reach,
            earlier=request.earlier,
        )
        user_id = request.request.user_id
        completer = Completer(self._kernel, self._splitter, ticket, trace, deadline, user_id=user_id)
        return ACTIONS[request.request.action](request.request, completer, self._limits)

    async def _offload(
        self, offloaded: Offloaded, key: Key[str], act: Work[str], request: ActionRequest, trace: Trace, *, needed: int
    ) -> str:
        """Return the text of a request that another process may take."""

        async def send(deadline: Point) -> str:
            trace.shared = "job"
            late = msgspec.structs.replace(request, deadline=deadline.at)
            check = partial(check_in_time, self._kernel.calls, late, needed)
            work = request.request
            if request.span is not None:
                work = msgspec.structs.replace(work, trace=request.span.traceparent)
            return await offloaded.text(key, work, admit=check, here=partial(act, deadline))

        try:
            # A finished job is a cached answer too: neither will do for a caller who wants another one.
            again = request.fresh or self._kernel.flights.cache.had(key, request.reader)
            if not again and offloaded.takes(request.request):
                return await share(self._kernel, key, send, request, trace, needed=0)
            return await share(self._kernel, key, act, request, trace, needed=needed)
        except asyncio.CancelledError:
            # The job is read now, before the flight, which may have lost its last waiter, ends. Joiners read it too.
            trace.job = offloaded.job(key)
            raise
