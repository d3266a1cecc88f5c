"""Raw completions (messages, tools, whatever a caller's body holds), whole or streamed.

They go the way of every request: admission, single flight, retry, gate, limit, all by one deadline. A request that
cannot be answered never makes them raise; the error is returned in the answer's place.
"""

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

from sidecar.core import events
from sidecar.core.errors import InternalError, SidecarError
from sidecar.core.off_loop import THREAD_BYTES, off_loop
from sidecar.core.ports import Completion
from sidecar.engine.deadline import Deadline, Point
from sidecar.engine.drain import Drain
from sidecar.engine.estimate import check_in_time
from sidecar.engine.kernel import Kernel
from sidecar.engine.limiter.streams import streamed
from sidecar.engine.limiter.ticket import Ticket
from sidecar.engine.limiter.trace import Trace
from sidecar.engine.pump import SILENT_SECONDS, STREAM_SECONDS, UNREAD_SECONDS, Pump, Send
from sidecar.engine.request import CompletionRequest
from sidecar.engine.request_log import RequestLog, traced
from sidecar.engine.sharing import share

Answer = TypeVar("Answer")
Shape = Callable[[Completion], bytes]
"""Makes a route's body of a completion; raises the `SidecarError` of one that cannot be sent."""


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
        self._pump = Pump(
            drain,
            kernel.calls.gate,
            kernel.calls.clock,
            silent_seconds=silent_seconds,
            unread_seconds=unread_seconds,
            stream_seconds=stream_seconds,
        )

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
        return await self._logged(request, trace, self._stream(request, send, trace))

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
            ticket = Ticket(request.user, background=request.background, reach=request.reach, earlier=request.earlier)
            done = await calls.complete(request.call, ticket, trace, deadline=deadline)
            return shape(done) if done.size < THREAD_BYTES else await off_loop(done.size, shape, done)

        with self._drain.within(request.deadline):
            if request.shared:
                size = request.place.size if request.place is not None else 0
                key = await off_loop(size, self._kernel.keys.of_call, request.call, request.names)
                return await share(self._kernel, key, work, request, trace, needed=1)
            check_in_time(calls, request, 1)
            return await work(Deadline(request.deadline))

    async def _stream(self, request: CompletionRequest, send: Send, trace: Trace) -> None:
        calls = self._kernel.calls
        ticket = Ticket(
            request.user,
            background=request.background,
            reach=request.reach,
            stream=True,
            earlier=request.earlier,
        )
        coming = streamed(calls, request.call, ticket, trace, deadline=Deadline(request.deadline))
        check = partial(check_in_time, calls, request, 1)
        await self._pump.run(coming, send, deadline=request.deadline, check=check)
