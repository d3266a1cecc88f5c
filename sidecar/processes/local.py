"""Requests that a serving process answers by itself: those with a call of their own, on a place of its lease.

A request whose attempt failed goes on at the parent, where retries, limit and breaker are.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from types import TracebackType
from typing import Self

from sidecar.core import events
from sidecar.core.contract import Reply, answered
from sidecar.core.errors import InternalError, SidecarError, UpstreamFailure
from sidecar.core.off_loop import off_loop
from sidecar.core.ports import Call, Completion, Upstream, Usage
from sidecar.engine.actions import Limits
from sidecar.engine.actions.chat import only_prompt
from sidecar.engine.completer import messages_of, text_of
from sidecar.engine.completions import Shape
from sidecar.engine.drain import Drain
from sidecar.engine.formats.formatter import Formatter
from sidecar.engine.limiter.calls import LONGEST_ATTEMPT
from sidecar.engine.pump import Pump, Send
from sidecar.engine.request import ActionRequest, CompletionRequest, RequestContext
from sidecar.processes.block import WAITING, Block
from sidecar.processes.failures import failure_of
from sidecar.processes.lease import Lease, Loan
from sidecar.processes.messages import Attempted


class PassedOn(Exception):
    """The request's first attempt failed, and the parent goes on with it."""

    def __init__(self, earlier: Attempted) -> None:
        super().__init__()
        self.earlier = earlier


class WaitingCalls:
    """Calls that wait at the parent, as it published them."""

    def __init__(self, block: Block) -> None:
        self._published = block.published

    @property
    def waiting(self) -> int:
        return int(self._published[WAITING])


class _Settling:
    """Block of a request: reports how it ended to the parent, and keeps the error that ended it."""

    __slots__ = ("_loan", "_request", "error")

    def __init__(self, loan: Loan, request: RequestContext) -> None:
        self._loan = loan
        self._request = request
        self.error: SidecarError | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> bool:
        if isinstance(exc, PassedOn):
            self._loan.passed_on()
            return False
        if isinstance(exc, SidecarError):
            self.error = exc
        elif isinstance(exc, Exception) and not isinstance(exc, ConnectionError):
            # The outermost: a fault of ours has its answer too. A ConnectionError is `send`'s, whose caller has left.
            events.fault("internal", exc, request_id=self._request.request_id)
            self.error = InternalError()
        self._loan.settled(self.error, left=exc is not None and self.error is None)
        return self.error is not None


class LocalAnswers:
    """Answers requests with the provider's client of this process. Each method returns None where it may not.

    Raises `PassedOn` where the parent has to go on.
    """

    def __init__(
        self,
        lease: Lease,
        client: Upstream,
        drain: Drain,
        pump: Pump,
        formatter: Formatter,
        *,
        limits: Limits,
        pseudonym: Callable[[str], str],
    ) -> None:
        self.lease = lease
        self._client = client
        self._drain = drain
        self._pump = pump
        self._formatter = formatter
        self._limits = limits
        self._pseudonym = pseudonym

    async def act(self, request: ActionRequest) -> Reply | SidecarError | None:
        """Return the reply to a chat whose context needs no summary."""
        wanted = request.request
        if wanted.action != "chat" or not _plain(request):
            return None
        if (prompt := only_prompt(wanted, self._limits)) is None:
            return None
        if (loan := self.lease.take(request, action=wanted.action)) is None:
            return None
        call = Call(messages=messages_of(prompt), max_tokens=prompt.max_tokens, user=self._pseudonym(wanted.user_id))
        with _Settling(loan, request) as settling:
            with self._drain.within(request.deadline):
                text = text_of(await self._attempt(loan, call))
            said = await self._formatter.written(text, wanted.format)
            return await off_loop(len(said), answered, said)
        return settling.error

    async def complete(self, request: CompletionRequest, shape: Shape) -> bytes | SidecarError | None:
        """Return the body of a raw completion that nobody shares."""
        if request.shared or not _plain(request):
            return None
        if (loan := self.lease.take(request, action=request.action)) is None:
            return None
        with _Settling(loan, request) as settling, self._drain.within(request.deadline):
            done = await self._attempt(loan, request.call)
            return await off_loop(done.size, shape, done)
        return settling.error

    async def stream(self, request: CompletionRequest, send: Send) -> bool | SidecarError | None:
        """Give a stream's events to `send`; return True at their regular end."""
        if not _plain(request):
            return None
        if (loan := self.lease.take(request, action=request.action, stream=True)) is None:
            return None
        with _Settling(loan, request) as settling:
            coming = self._events(loan, request.call)
            await self._pump.run(coming, send, deadline=request.deadline, check=_nothing)
            return True
        return settling.error

    async def _attempt(self, loan: Loan, call: Call) -> Completion:
        try:
            done = await self._client.complete(call, deadline=loan.at + LONGEST_ATTEMPT)
        except UpstreamFailure as failure:
            loan.failed(failure)
            raise PassedOn(Attempted(failure_of(failure), loan.seconds)) from failure
        except BaseException as exc:
            loan.broken(exc)
            raise
        loan.answered(done.prompt_tokens, done.completion_tokens)
        return done

    async def _events(self, loan: Loan, call: Call) -> AsyncGenerator[bytes, None]:
        usage, begun = Usage(), False
        coming = self._client.stream(call, deadline=loan.at + LONGEST_ATTEMPT, usage=usage)
        try:
            async with aclosing(coming) as coming_events:
                async for data in coming_events:
                    if not begun:
                        begun = True
                        loan.began()
                    yield data
        except UpstreamFailure as failure:
            loan.failed(failure, prompt_tokens=usage.prompt_tokens, completion_tokens=usage.completion_tokens)
            if begun:
                raise
            raise PassedOn(Attempted(failure_of(failure), loan.seconds)) from failure
        except BaseException as exc:
            loan.broken(exc, prompt_tokens=usage.prompt_tokens, completion_tokens=usage.completion_tokens)
            raise
        loan.answered(usage.prompt_tokens, usage.completion_tokens)


def _plain(request: RequestContext) -> bool:
    """Return whether the request has nothing that the parent has to see."""
    return request.span is None and not request.background and request.names is None


def _nothing() -> None:
    """Refuse nothing: a place was there."""
