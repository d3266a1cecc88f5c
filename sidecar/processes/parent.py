"""The parent's end of one serving process: requests come in, and the one engine of the service answers them."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, Final, Protocol

import msgspec

from sidecar.core.errors import SidecarError, UpstreamFailure
from sidecar.core.ports import Completion
from sidecar.core.trace_context import Passing, TraceContext
from sidecar.engine.admission import Admission, Place
from sidecar.engine.limiter.ticket import Earlier
from sidecar.engine.limiter.trace import Trace
from sidecar.engine.request import ActionRequest, CompletionRequest
from sidecar.engine.service import Service
from sidecar.processes.failures import error_from, failure_of
from sidecar.processes.lending import Lender
from sidecar.processes.link import Link, Parts
from sidecar.processes.messages import (
    ActionMessage,
    Answered,
    Aside,
    Attempted,
    CompletionMessage,
    Context,
    FeedMessage,
    NotesToParent,
    Page,
    PageMessage,
    Ready,
    Report,
    ToParent,
    decoder_of,
)
from sidecar.processes.remote_provider import BODY, OWNER, HeldCall, Length, Owner

_messages: Final[msgspec.msgpack.Decoder[ToParent]] = decoder_of(ToParent)
_notes: Final[msgspec.msgpack.Decoder[NotesToParent]] = decoder_of(NotesToParent)
_NOWHERE: Final = Admission(places=1, size=0)


class Pages(Protocol):
    """Port: what the service shows of all processes together."""

    async def page(self, message: PageMessage) -> Page:
        """Return the page that is asked for."""
        ...

    def feed(self) -> AsyncGenerator[bytes, None]:
        """Yield the dashboard's events; raises `Overloaded` where too many pages are open."""
        ...


class RemotePlace(Place):
    """The place that a request holds in its serving process; `aside` is called where the request steps aside."""

    __slots__ = ("_step",)

    def __init__(self, size: int, step: Callable[[], None]) -> None:
        super().__init__(_NOWHERE, size, pending=False, bulk=False)
        self._step = step

    def step_aside(self) -> None:
        if not self.aside:
            self.aside = True
            self._step()


class ParentEnd:
    """Answers the requests of one serving process out of `service`. `ready` and `lost` say how that process fares."""

    def __init__(
        self,
        service: Service,
        pages: Pages,
        lender: Lender,
        *,
        ready: Callable[[str], None],
        lost: Callable[[], None],
    ) -> None:
        self._service = service
        self._pages = pages
        self._ready = ready
        self._lost = lost
        self.link = Link(self._work, note=self._note, lost=self._gone)
        self._borrower = lender.borrower(self.link.tell)

    async def _work(self, number: int, body: msgspec.Raw, parts: Parts) -> object:
        message = _messages.decode(body)
        if isinstance(message, ActionMessage):
            answered = await self._act(number, message)
            self._borrower.came_back()
            return answered
        if isinstance(message, CompletionMessage):
            answered = await self._complete(number, message, parts)
            self._borrower.came_back()
            return answered
        if isinstance(message, PageMessage):
            return await self._pages.page(message)
        if isinstance(message, FeedMessage):
            async for event in self._pages.feed():
                await parts.send(event)
        elif (quotas := self._service.quotas) is not None:
            await quotas.count(message.token, message.users)
        return None

    def _note(self, body: msgspec.Raw) -> None:
        note = _notes.decode(body)
        if isinstance(note, Report):
            self._borrower.report(note)
            return
        if isinstance(note, Ready):
            self._ready(note.url)
            return
        span = Passing(TraceContext(note.traceparent)) if note.traceparent else None
        self._service.log.refused(
            error_from(note.failure),
            route=note.route,
            request_id=note.request_id,
            token=note.token,
            user=note.user,
            span=span,
        )

    def _gone(self) -> None:
        self._borrower.lost()
        self._lost()

    def _held(self, token: str, user: str) -> AbstractAsyncContextManager[None]:
        quotas = self._service.quotas
        return nullcontext() if quotas is None else quotas.held(token, user)

    async def _act(self, number: int, message: ActionMessage) -> Answered:
        OWNER.set(Owner(self.link, number))
        context, user = message.context, message.request.user_id
        quotas = self._service.quotas
        request = ActionRequest(
            request=message.request,
            charge=None if quotas is None else quotas.charge(context.token, user),
            earlier=_earlier(message.earlier),
            **self._facts(number, context),
        )
        async with self._held(context.token, user):
            outcome = await self._service.engine.answer(request)
        return Answered(outcome.reply, outcome.retry_after)

    async def _complete(self, number: int, message: CompletionMessage, parts: Parts) -> Answered:
        owner = Owner(self.link, number, call=message.call, shape=message.shape)
        OWNER.set(owner)
        context, quotas = message.context, self._service.quotas
        texts = ({"content": Length.of(message.characters)},) if message.characters else ()
        request = CompletionRequest(
            call=HeldCall(messages=texts, max_tokens=message.max_tokens, model=message.model, key=message.key),
            user_id=message.user_id,
            action=message.action,
            providers=message.providers,
            shared=bool(message.key),
            charge=None if quotas is None else quotas.charge(context.token, message.user_id),
            earlier=_earlier(message.earlier),
            **self._facts(number, context),
        )
        trace = Trace(span=request.span)
        try:
            async with self._held(context.token, message.user_id):
                if message.streams:
                    failure = await self._service.completions.stream(request, _Named(parts, trace).send, trace)
                    data = None if failure is None else failure_of(failure)
                    return Answered(failure=data, provider=trace.provider)
                body = await self._service.completions.answer(request, _body, trace)
        finally:
            owner.waits = False
        if isinstance(body, SidecarError):
            return Answered(failure=failure_of(body), provider=trace.provider)
        return Answered(body=body, provider=trace.provider)

    def _facts(self, number: int, context: Context) -> dict[str, Any]:
        """Return the fields that every kind of request has."""
        traced = TraceContext(context.traceparent, context.tracestate) if context.traceparent else None
        return {
            "deadline": context.deadline,
            "request_id": context.request_id,
            "route": context.route,
            "token": context.token,
            "origin": context.origin,
            "arrived": context.arrived,
            "fresh": context.fresh,
            "background": context.background,
            "place": RemotePlace(context.size, lambda: self.link.tell(Aside(number))),
            "span": None if traced is None else Passing(traced),
        }


class _Named:
    """Sends the name of the answering provider before the first event, since it belongs to the response's headers."""

    def __init__(self, parts: Parts, trace: Trace) -> None:
        self._parts = parts
        self._trace = trace
        self._begun = False

    async def send(self, data: bytes) -> None:
        if not self._begun:
            self._begun = True
            await self._parts.send(self._trace.provider.encode())
        await self._parts.send(data)


def _earlier(attempted: Attempted | None) -> Earlier | None:
    """Return the attempt that the serving process made, as the engine counts it."""
    if attempted is None or not isinstance(failure := error_from(attempted.failure), UpstreamFailure):
        return None
    return Earlier(failure, attempted.seconds)


def _body(completion: Completion) -> bytes:
    """Return the body that the serving process made of the answer, or raise why it made none."""
    found: bytes | SidecarError = completion.body[BODY]
    if isinstance(found, SidecarError):
        raise found
    return found
