"""The serving process's end: what routes take for engine, completions, log and limits passes requests to the parent."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from typing import Final

import msgspec

from sidecar.config.tokens import TokensFile
from sidecar.core.contract import failed
from sidecar.core.errors import DeadlineExceeded, InternalError, Overloaded, SidecarError
from sidecar.core.off_loop import off_loop
from sidecar.core.ports import Call
from sidecar.core.trace_context import Passing
from sidecar.core.tracing import Span
from sidecar.engine.admission import Place
from sidecar.engine.completions import Completions, Shape
from sidecar.engine.engine import Engine, Outcome
from sidecar.engine.keys import Keys
from sidecar.engine.limiter.token_estimate import CHARACTERS, tokens_of
from sidecar.engine.limiter.trace import Charge, Trace
from sidecar.engine.pump import Send
from sidecar.engine.quotas.quotas import Quotas
from sidecar.engine.request import ActionRequest, CompletionRequest, RequestContext
from sidecar.engine.request_log import RequestLog
from sidecar.engine.service import Service
from sidecar.processes.block import DRAIN_RATE, HELD, PAUSED_UNTIL, Block
from sidecar.processes.calls import encode_call
from sidecar.processes.failures import error_from, failure_of
from sidecar.processes.link import Link
from sidecar.processes.local import LocalAnswers, PassedOn
from sidecar.processes.messages import (
    ActionMessage,
    Answered,
    Attempted,
    CompletionMessage,
    Context,
    CountMessage,
    Refused,
    decoder_of,
)

FAILED_SECONDS: Final = 0.5
"""Seconds in which the last events of a stream that failed can still be read."""
LAST_SECONDS: Final = 30.0
"""The same for a stream that came to its regular end: as long as a stream may stand still."""
_UNREAD: Final = "The stream stood still for too long and was ended."

_answered: Final[msgspec.msgpack.Decoder[Answered]] = decoder_of(Answered)
_nothing: Final[msgspec.msgpack.Decoder[None]] = decoder_of(None)


class Held(msgspec.Struct):
    """Parts of a request that stay in this process while the parent answers it."""

    place: Place | None
    call: Call | None = None
    shape: Shape | None = None


Holdings = dict[int, Held]
"""Requests at the parent, by number."""


class RelayedEngine(Engine):
    """Passes requests for actions to the parent."""

    def __init__(self, link: Link, holdings: Holdings, local: LocalAnswers) -> None:
        self._link = link
        self._holdings = holdings
        self._local = local

    async def answer(self, request: ActionRequest) -> Outcome:
        earlier: Attempted | None = None
        try:
            done = await self._local.act(request)
        except PassedOn as passed:
            earlier = passed.earlier
        else:
            if isinstance(done, SidecarError):
                return Outcome(reply=failed(done), retry_after=done.retry_after)
            if done is not None:
                return Outcome(reply=done)
        return await self._relayed(request, earlier)

    async def _relayed(self, request: ActionRequest, earlier: Attempted | None) -> Outcome:
        number = self._link.number()
        self._holdings[number] = Held(request.place)
        try:
            message = ActionMessage(_context(request), request.request, earlier)
            answered = await self._link.request(message, _answered, number=number)
        finally:
            del self._holdings[number]
        if answered.reply is None:
            raise InternalError
        return Outcome(reply=answered.reply, retry_after=answered.retry_after)


class RelayedCompletions(Completions):
    """Passes requests for raw completions to the parent; their calls stay here. `limited`: tokens are counted."""

    def __init__(self, link: Link, holdings: Holdings, local: LocalAnswers, keys: Keys, *, limited: bool) -> None:
        self._link = link
        self._holdings = holdings
        self._local = local
        self._keys = keys
        self._limited = limited

    async def answer(
        self, request: CompletionRequest, shape: Shape, trace: Trace | None = None
    ) -> bytes | SidecarError:
        earlier: Attempted | None = None
        try:
            if (done := await self._local.complete(request, shape)) is not None:
                return done
        except PassedOn as passed:
            earlier = passed.earlier
        message = self._message(request, earlier)
        if request.shared:
            size = request.place.size if request.place is not None else 0
            key = await off_loop(size, self._keys.of_call, request.call, request.names)
            message = msgspec.structs.replace(
                message,
                key=bytes(key),
                call=await off_loop(size, encode_call, request.call),
                shape=msgspec.msgpack.encode(shape),
            )
        number = self._link.number()
        self._holdings[number] = Held(request.place, request.call, shape)
        try:
            answered = await self._link.request(message, _answered, number=number)
        finally:
            del self._holdings[number]
        if trace is not None:
            trace.provider = answered.provider
        return answered.body if answered.failure is None else error_from(answered.failure)

    async def stream(self, request: CompletionRequest, send: Send, trace: Trace | None = None) -> SidecarError | None:
        earlier: Attempted | None = None
        try:
            if (done := await self._local.stream(request, send)) is not None:
                return done if isinstance(done, SidecarError) else None
        except PassedOn as passed:
            earlier = passed.earlier
        return await self._relayed(request, send, trace, earlier)

    async def _relayed(
        self, request: CompletionRequest, send: Send, trace: Trace | None, earlier: Attempted | None
    ) -> SidecarError | None:
        message = msgspec.structs.replace(self._message(request, earlier), streams=True)
        number, loop = self._link.number(), asyncio.get_running_loop()
        answered: Answered | None = None

        def ended(result: msgspec.Raw) -> None:
            nonlocal answered
            answered = _answered.decode(result)
            # The parent is done with the stream, and its caller may have stopped reading long ago.
            limit.reschedule(loop.time() + (LAST_SECONDS if answered.failure is None else FAILED_SECONDS))

        self._holdings[number] = Held(request.place, request.call)
        try:
            with contextlib.suppress(TimeoutError):
                async with (
                    asyncio.timeout(None) as limit,
                    aclosing(self._link.stream(message, number=number, ended=ended)) as events,
                ):
                    await _pump(events, send, trace)
        finally:
            del self._holdings[number]
        if answered is None:
            raise InternalError
        if answered.failure is not None:
            return error_from(answered.failure)
        return DeadlineExceeded(_UNREAD) if limit.expired() else None

    def _message(self, request: CompletionRequest, earlier: Attempted | None) -> CompletionMessage:
        call = request.call
        return CompletionMessage(
            context=_context(request),
            user_id=request.user_id,
            action=request.action,
            model=call.model,
            max_tokens=call.max_tokens,
            providers=request.names,
            characters=tokens_of(call, 0) * CHARACTERS if self._limited else 0,
            earlier=earlier,
        )


async def _pump(events: AsyncGenerator[bytes, None], send: Send, trace: Trace | None) -> None:
    """Send the events on, behind the provider's name."""
    provider = await anext(events, None)
    if trace is not None and provider is not None:
        trace.provider = provider.decode()
    async for data in events:
        await send(data)


class RelayedLog(RequestLog):
    """Reports requests that their route refused to the parent."""

    def __init__(self, link: Link, block: Block, service: Service) -> None:
        super().__init__(service.kernel.calls, service.admission)
        self._link = link
        self._block = block
        self._clock = service.clock

    def refused(
        self,
        error: SidecarError,
        *,
        route: str,
        request_id: str,
        token: str = "",
        user: str = "",
        span: Span | None = None,
    ) -> None:
        if isinstance(error, Overloaded) and error.retry_after is None:
            published = self._block.published
            pause = max(0.0, published[PAUSED_UNTIL] - self._clock())
            error.retry_after = pause + self._block.total(HELD) / max(1.0, published[DRAIN_RATE])
        self._link.tell(
            Refused(
                failure=failure_of(error),
                route=route,
                request_id=request_id,
                token=token,
                user=user,
                traceparent="" if span is None or not span.traceparent.isascii() else span.traceparent,
            )
        )


class RelayedQuotas(Quotas):
    """Named tokens, looked up here; the parent counts, once a request is with it."""

    def __init__(self, file: TokensFile, link: Link) -> None:
        super().__init__(file)
        self._link = link

    def look(self, token: str, *, hold: bool = True) -> None:
        """Refuse nothing yet: the parent does, before any work."""

    def held(self, token: str, user: str) -> AbstractAsyncContextManager[None]:  # noqa: ARG002 - the parent holds it
        return nullcontext()

    def charge(self, token: str, user: str) -> Charge | None:  # noqa: ARG002 - as above
        return None

    async def count(self, token: str, users: Mapping[str, int]) -> None:
        await self._link.request(CountMessage(token, dict(users)), _nothing)


def _context(request: RequestContext) -> Context:
    traced = request.span.context if isinstance(request.span, Passing) else None
    if traced is not None and not traced.traceparent.isascii():  # of a version to come, and in no encoding
        traced = None
    return Context(
        deadline=request.deadline,
        request_id=request.request_id,
        route=request.route,
        token=request.token,
        origin=request.origin,
        arrived=request.arrived,
        fresh=request.fresh,
        background=request.background,
        size=0 if request.place is None else request.place.size,
        traceparent="" if traced is None else traced.traceparent,
        tracestate="" if traced is None else traced.tracestate,
    )
