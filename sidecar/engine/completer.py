"""The completer of one request: an action's prompts go through single flight, gate and provider."""

from collections.abc import Sequence
from typing import Protocol

from sidecar.core.errors import DeadlineExceeded, EmptyResponse
from sidecar.core.off_loop import THREAD_BYTES, off_loop
from sidecar.core.ports import Call, Completion, Prompt
from sidecar.core.until import Until
from sidecar.engine.answer_cache import Key
from sidecar.engine.deadline import Deadline, Point
from sidecar.engine.kernel import Kernel
from sidecar.engine.limiter.fair_queue import Ticket
from sidecar.engine.limiter.trace import Trace


class SplitterPort(Protocol):
    """Port: cuts long texts at natural borders; see `CompleterPort.split`."""

    async def split(self, text: str, *, fits: int, tokens: int) -> list[str]: ...


class Completer:
    """Completes the prompts of one request's action: its calls share a ticket, a deadline and a trace."""

    def __init__(
        self, kernel: Kernel, splitter: SplitterPort, ticket: Ticket, trace: Trace, deadline: Point, *, user_id: str
    ) -> None:
        self._kernel = kernel
        self._trace = trace
        self._deadline = deadline
        self._ticket = ticket
        self._user = kernel.pseudonym(user_id)
        self.split = splitter.split
        size = kernel.contexts.of(ticket.traffic)
        self.room, self.exceeded = size.room, size.exceeded

    async def complete(self, prompt: Prompt) -> str:
        # A chat whose context was summarized keeps the turn that the summary waited for.
        resumed = prompt.purpose == "chat" and self._ticket.started
        size, key_of = len(prompt.user), self._kernel.keys.of_prompt
        key = key_of(prompt) if size < THREAD_BYTES else await off_loop(size, key_of, prompt)
        if prompt.within >= 1:
            return await self._call(prompt, key, self._deadline, resumed=resumed)
        now = self._kernel.calls.clock()
        deadline = Deadline(now + (self._deadline.at - now) * prompt.within)
        try:
            with Until(deadline.at):
                return await self._call(prompt, key, deadline, resumed=resumed)
        except TimeoutError as exc:
            raise DeadlineExceeded from exc

    async def _call(self, prompt: Prompt, key: Key[str] | None, deadline: Point, *, resumed: bool) -> str:
        call = Call(messages=messages_of(prompt), max_tokens=prompt.max_tokens, user=self._user)
        if key is None:
            calls = self._kernel.calls
            return text_of(await calls.complete(call, self._ticket, self._trace, deadline=deadline, resumed=resumed))

        async def work(deadline: Point) -> str:
            calls = self._kernel.calls
            done = await calls.complete(call, self._ticket, self._trace, deadline=deadline, resumed=resumed)
            return text_of(done)

        if (cached := self._kernel.flights.find(key)) is not None:
            return cached
        return await self._kernel.flights.share(key, work, deadline=deadline, span=self._trace.span)


def text_of(completion: Completion) -> str:
    """Return the completion's text. Raises `EmptyResponse` where there is none, as after thoughts alone."""
    if not completion.text:
        raise EmptyResponse(completion.lacks or None, status=200)
    return completion.text


def messages_of(prompt: Prompt) -> Sequence[dict[str, str]]:
    """Return the messages that a provider is sent for `prompt`."""
    return ({"role": "system", "content": prompt.system}, {"role": "user", "content": prompt.user})
