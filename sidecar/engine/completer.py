"""The completer of one request: an action's prompts go through single flight, gate and provider."""

from collections.abc import Coroutine, Sequence
from functools import partial
from typing import Any, Protocol

from sidecar.core.errors import ContextExceeded, DeadlineExceeded, EmptyResponse
from sidecar.core.off_loop import THREAD_BYTES, off_loop
from sidecar.core.ports import Call, Completion, Prompt
from sidecar.core.until import Until
from sidecar.engine.answer_cache import Key
from sidecar.engine.deadline import Deadline, Point
from sidecar.engine.kernel import Kernel
from sidecar.engine.limiter.ticket import Ticket
from sidecar.engine.limiter.trace import Trace


class SplitterPort(Protocol):
    """Port: cuts long texts at natural borders; see `CompleterPort.split`."""

    async def split(self, text: str, *, fits: int, tokens: int) -> list[str]: ...


class Completer:
    """Completes the prompts of one request's action: its calls share a ticket, a deadline and a trace."""

    __slots__ = ("_deadline", "_kernel", "_splitter", "_ticket", "_trace", "_user")

    def __init__(
        self, kernel: Kernel, splitter: SplitterPort, ticket: Ticket, trace: Trace, deadline: Point, *, user_id: str
    ) -> None:
        self._kernel = kernel
        self._trace = trace
        self._deadline = deadline
        self._ticket = ticket
        self._user = kernel.pseudonym(user_id)
        self._splitter = splitter

    def split(self, text: str, *, fits: int, tokens: int) -> Coroutine[Any, Any, list[str]]:
        return self._splitter.split(text, fits=fits, tokens=tokens)

    def room(self, configured: int) -> int:
        return self._kernel.contexts.of(self._ticket.reach).room(configured)

    def exceeded(self, failure: ContextExceeded, tried: int) -> bool:
        return self._kernel.contexts.of(self._ticket.reach).exceeded(failure, tried)

    def complete(self, prompt: Prompt) -> Coroutine[Any, Any, str]:
        """Return the coroutine of the answer's text, with few frames of its own: each has 300 bytes while it waits."""
        # A chat whose context was summarized keeps the turn that the summary waited for.
        resumed = prompt.purpose == "chat" and self._ticket.started
        size = len(prompt.user)
        if size >= THREAD_BYTES:
            return self._complete_large(prompt, size, resumed=resumed)
        return self._complete(prompt, self._kernel.keys.of_prompt(prompt, self._ticket.reach.names), resumed=resumed)

    async def _complete_large(self, prompt: Prompt, size: int, *, resumed: bool) -> str:
        key = await off_loop(size, self._kernel.keys.of_prompt, prompt, self._ticket.reach.names)
        return await self._complete(prompt, key, resumed=resumed)

    def _complete(self, prompt: Prompt, key: Key[str] | None, *, resumed: bool) -> Coroutine[Any, Any, str]:
        call = Call(messages=messages_of(prompt), max_tokens=prompt.max_tokens, user=self._user)
        if prompt.within < 1:
            return self._within(prompt.within, call, key, resumed=resumed)
        return self._answer(call, key, self._deadline, resumed=resumed)

    async def _within(self, share: float, call: Call, key: Key[str] | None, *, resumed: bool) -> str:
        """Return the answer's text within a share of the time that is left."""
        now = self._kernel.calls.clock()
        deadline = Deadline(now + (self._deadline.at - now) * share)
        try:
            with Until(deadline.at):
                return await self._answer(call, key, deadline, resumed=resumed)
        except TimeoutError as exc:
            raise DeadlineExceeded from exc

    def _answer(self, call: Call, key: Key[str] | None, deadline: Point, *, resumed: bool) -> Coroutine[Any, Any, str]:
        return self._call(call, deadline, resumed=resumed) if key is None else self._shared(call, key, deadline)

    async def _call(self, call: Call, deadline: Point, *, resumed: bool = False) -> str:
        calls = self._kernel.calls
        return text_of(await calls.complete(call, self._ticket, self._trace, deadline=deadline, resumed=resumed))

    async def _shared(self, call: Call, key: Key[str], deadline: Point) -> str:
        flights = self._kernel.flights
        if (cached := flights.find(key)) is not None:
            return cached
        return await flights.share(key, partial(self._call, call), deadline=deadline, span=self._trace.span)


def text_of(completion: Completion) -> str:
    """Return the completion's text. Raises `EmptyResponse` where there is none, as after thoughts alone."""
    if not completion.text:
        raise EmptyResponse(completion.lacks or None, status=200)
    return completion.text


def messages_of(prompt: Prompt) -> Sequence[dict[str, str]]:
    """Return the messages that a provider is sent for `prompt`."""
    return ({"role": "system", "content": prompt.system}, {"role": "user", "content": prompt.user})
