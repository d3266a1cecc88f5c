"""The engine's second verb: a raw completion (messages, tools, whatever a caller's body holds), whole or streamed.

It goes the way of every request: admission, flights, retry, gate, limit, all by one deadline. It never raises for a
request that cannot be answered; what came instead of an answer is returned.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, Final, TypeVar

from sidecar.core import events
from sidecar.core.errors import DeadlineExceeded, EmptyResponse, InternalError, SidecarError
from sidecar.core.ports import Call, Completion
from sidecar.engine.deadline import Deadline, Point
from sidecar.engine.engine import Engine, RequestContext
from sidecar.engine.limiter.calls import Trace
from sidecar.engine.limiter.fair_queue import Ticket
from sidecar.engine.limiter.streams import streamed

SILENT_SECONDS: Final = 30.0
"""After its first event a stream ends when so long nothing came, or nothing was taken (CONTRACT)."""
STREAM_SECONDS: Final = 600.0
"""After its first event a stream ends after so long in all: it holds a slot."""

_SILENT: Final = "The stream stood still for too long and was ended."

Result = TypeVar("Result")
Shape = Callable[[Completion], bytes]
"""Makes of an answer what its door sends; raises the `SidecarError` of one that cannot be sent."""
Send = Callable[[bytes], Awaitable[None]]
"""Takes one event's data to the caller; raises `ConnectionError` once he has left."""


class CompletionRequest(RequestContext, frozen=True, kw_only=True):
    """A raw completion with what its door knows of it."""

    call: Call
    asker: str = ""
    """Who asks; blank where the request names nobody."""
    action: str
    """As the log calls it."""
    shared: bool = False
    """Whether the same asked by others may have the same answer."""
    background: bool = False

    @property
    def reader(self) -> str:
        return self.asker


class Completions:
    """Raw completions over an engine; its admission, flights and provider are theirs too."""

    def __init__(
        self, engine: Engine, *, silent_seconds: float = SILENT_SECONDS, stream_seconds: float = STREAM_SECONDS
    ) -> None:
        self.engine = engine
        self._silent_seconds = silent_seconds
        self._stream_seconds = stream_seconds

    async def answer(self, asked: CompletionRequest, shape: Shape) -> bytes | SidecarError:
        """The answer to `asked` in the `shape` that its door sends, by its deadline; one line in the log."""
        trace = Trace()
        return await self._told(asked, trace, self._answer(asked, shape, trace))

    async def stream(self, asked: CompletionRequest, send: Send) -> SidecarError | None:
        """Take the events of the answer to `asked` to `send`; what ended it, None where it came to its end.

        The deadline is the first event's. Raises `ConnectionError` where `send` did.
        """
        trace = Trace()
        return await self._told(asked, trace, self._pump(asked, send, trace))

    async def _told(
        self, asked: CompletionRequest, trace: Trace, work: Coroutine[Any, Any, Result]
    ) -> Result | SidecarError:
        """What `work` gives, or the failure it ends with; counted and logged."""
        code: str | None = "cancelled"
        try:
            result = await work
        except SidecarError as exc:
            error = trace.ended_by(exc)
            code = error.code
            return error
        except ConnectionError:
            raise  # of who sends: the caller has left
        except Exception as exc:  # noqa: BLE001 - the verb's outermost: a fault of ours has its answer too
            events.fault("internal", exc, request_id=asked.request_id)
            code = InternalError.code
            return InternalError()
        else:
            code = None
            return result
        finally:
            self.engine.report(asked, trace, asked.action, code)

    async def _answer(self, asked: CompletionRequest, shape: Shape, trace: Trace) -> bytes:
        async with self.engine.limited(asked.deadline):
            return await self._shaped(asked, shape, trace)

    async def _shaped(self, asked: CompletionRequest, shape: Shape, trace: Trace) -> bytes:
        async def work(deadline: Point) -> bytes:
            ticket = Ticket(asked.user, background=asked.background)
            return shape(await self.engine.calls.complete(asked.call, ticket, trace, deadline=deadline))

        async def text(deadline: Point) -> str:
            return (await work(deadline)).decode()

        if asked.shared:
            key = self.engine.keys.of_call(asked.call)
            return (await self.engine.share(key, text, asked, trace, 1)).encode()
        self.engine.admit(asked, 1, background=asked.background)
        return await work(Deadline(asked.deadline))

    async def _pump(self, asked: CompletionRequest, send: Send, trace: Trace) -> None:
        engine = self.engine
        ticket = Ticket(asked.user, background=asked.background)
        coming = streamed(engine.calls, asked.call, ticket, trace, deadline=Deadline(asked.deadline))
        async with contextlib.aclosing(coming):
            async with engine.limited(asked.deadline):
                engine.admit(asked, 1, background=asked.background)
                data = await anext(coming, None)
            if data is None:
                raise EmptyResponse(status=200)
            async with engine.limited(engine.clock() + self._stream_seconds), self._moving() as moved:
                while data is not None:
                    await send(data)
                    moved()
                    data = await anext(coming, None)
                    moved()

    @contextlib.asynccontextmanager
    async def _moving(self) -> AsyncIterator[Callable[[], None]]:
        """End the block with `DeadlineExceeded` once what it gives was not called for `silent_seconds`."""
        now = asyncio.get_running_loop().time
        last = now()

        def moved() -> None:
            nonlocal last
            # A timer for every event would cost more than the event.
            if (at := now()) - last > self._silent_seconds / 16:
                last = at
                timeout.reschedule(at + self._silent_seconds)

        try:
            async with asyncio.timeout(self._silent_seconds) as timeout:
                yield moved
        except TimeoutError as exc:
            raise DeadlineExceeded(_SILENT) from exc
