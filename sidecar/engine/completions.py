"""Raw completions (messages, tools, whatever a caller's body holds), whole or streamed.

They go the way of every request: admission, single flight, retry, gate, limit, all by one deadline. A request that
cannot be answered never makes them raise; the error is returned in the answer's place.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any, Final, TypeVar

from sidecar.core import events
from sidecar.core.errors import DeadlineExceeded, EmptyResponse, InternalError, SidecarError
from sidecar.core.off_loop import THREAD_BYTES, off_loop
from sidecar.core.ports import Completion
from sidecar.core.until import Until
from sidecar.engine.deadline import Deadline, Point
from sidecar.engine.drain import Drain
from sidecar.engine.estimate import check_in_time
from sidecar.engine.kernel import Kernel
from sidecar.engine.limiter.fair_queue import Ticket
from sidecar.engine.limiter.streams import streamed
from sidecar.engine.limiter.trace import Trace
from sidecar.engine.movement import Movement
from sidecar.engine.request import CompletionRequest
from sidecar.engine.request_log import RequestLog, traced
from sidecar.engine.sharing import share

SILENT_SECONDS: Final = 30.0
"""After its first event a stream ends when nothing came, or nothing was taken, for so long (CONTRACT)."""
UNREAD_SECONDS: Final = 5.0
"""After so long without a reader a stream ends if calls wait for its slot: some megabytes wait for its caller then."""
STREAM_SECONDS: Final = 600.0
"""After its first event a stream ends after so long in all: it holds a slot."""

_SILENT: Final = "The stream stood still for too long and was ended."

Answer = TypeVar("Answer")
Shape = Callable[[Completion], bytes]
"""Makes a route's body of a completion; raises the `SidecarError` of one that cannot be sent."""
Send = Callable[[bytes], Awaitable[None]]
"""Takes one event's data to the caller, or a sign of life where the data is blank; raises `ConnectionError` once the
caller has left."""


class Completions:
    """Answers requests for raw completions, over the kernel."""

    def __init__(
        self,
        kernel: Kernel,
        *,
        drain: Drain,
        log: RequestLog,
        silent_seconds: float = SILENT_SECONDS,
        unread_seconds: float = UNREAD_SECONDS,
        stream_seconds: float = STREAM_SECONDS,
    ) -> None:
        self._kernel = kernel
        self._drain = drain
        self._log = log
        self._silent_seconds = silent_seconds
        self._unread_seconds = unread_seconds
        self._stream_seconds = stream_seconds

    async def answer(
        self, request: CompletionRequest, shape: Shape, trace: Trace | None = None
    ) -> bytes | SidecarError:
        """Return the body that `shape` makes of the answer, by the deadline; write one line to the log.

        `trace` then has the provider that answered.
        """
        trace = trace or Trace(span=request.span)
        trace.charge = request.charge
        return await self._logged(request, trace, self._answer(request, shape, trace))

    async def stream(self, request: CompletionRequest, send: Send, trace: Trace | None = None) -> SidecarError | None:
        """Give the answer's events to `send`; return what ended the stream, None for its regular end.

        The deadline is the first event's. Raises `ConnectionError` where `send` did. Before the first event `trace`
        has the provider that answers.
        """
        trace = trace or Trace(span=request.span)
        trace.charge = request.charge
        return await self._logged(request, trace, self._pump(request, send, trace))

    async def _logged(
        self, request: CompletionRequest, trace: Trace, work: Coroutine[Any, Any, Answer]
    ) -> Answer | SidecarError:
        """Return the result of `work`, or the failure that ended it; counted and logged."""
        error: SidecarError | None = None
        left = True
        try:
            result = await work
        except SidecarError as exc:
            error, left = trace.ended_by(exc), False
            return error
        except ConnectionError:
            raise  # of `send`: the caller has left
        except Exception as exc:  # noqa: BLE001 - the verb's outermost: a fault of ours has its answer too
            events.fault("internal", exc, request_id=request.request_id, **traced(request.span))
            error, left = InternalError(), False
            return error
        else:
            left = False
            return result
        finally:
            self._log.ended(request, trace, request.action, error, left=left)

    async def _answer(self, request: CompletionRequest, shape: Shape, trace: Trace) -> bytes:
        calls = self._kernel.calls

        async def work(deadline: Point) -> bytes:
            ticket = Ticket(request.user, background=request.background, traffic=request.traffic)
            done = await calls.complete(request.call, ticket, trace, deadline=deadline)
            return shape(done) if len(done.text) < THREAD_BYTES else await off_loop(len(done.text), shape, done)

        with self._drain.within(request.deadline):
            if request.shared:
                size = request.place.size if request.place is not None else 0
                key = await off_loop(size, self._kernel.keys.of_call, request.call)
                return await share(self._kernel, key, work, request, trace, needed=1)
            check_in_time(calls, request, 1)
            return await work(Deadline(request.deadline))

    async def _pump(self, request: CompletionRequest, send: Send, trace: Trace) -> None:
        calls, drain = self._kernel.calls, self._drain
        ticket = Ticket(request.user, background=request.background, traffic=request.traffic, stream=True)
        coming = streamed(calls, request.call, ticket, trace, deadline=Deadline(request.deadline))
        async with contextlib.aclosing(coming):
            with drain.within(request.deadline):
                check_in_time(calls, request, 1)
                data = await anext(coming, None)
            if data is None:
                raise EmptyResponse(status=200)
            with drain.within(calls.clock() + self._stream_seconds), self._moving() as movement:
                while data is not None:
                    movement.sends()
                    await send(data)
                    movement.moved()
                    data = await anext(coming, None)
                    movement.moved()

    @contextlib.contextmanager
    def _moving(self) -> Iterator[Movement]:
        """End the block with `DeadlineExceeded` once the stream stands still for too long."""
        try:
            with Until(asyncio.get_running_loop().time() + self._silent_seconds) as timeout:
                gate = self._kernel.calls.gate
                with Movement(timeout, gate, silent=self._silent_seconds, unread=self._unread_seconds) as movement:
                    yield movement
        except TimeoutError as exc:
            raise DeadlineExceeded(_SILENT) from exc
