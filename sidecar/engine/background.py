"""The engine's verb for work that nobody holds a connection for: jobs, and lines of a batch.

They enter at the action, past admission and flights of requests. Finished calls of theirs can be kept outside, so
that work which ended with its process goes on where it stood. It knows no Redis and no file.
"""

from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from sidecar.core.contract import Request
from sidecar.core.ports import Call, Prompt, Purpose
from sidecar.engine.actions import ACTIONS
from sidecar.engine.completer import messages_of
from sidecar.engine.deadline import Deadline, Point
from sidecar.engine.engine import Engine
from sidecar.engine.limiter.calls import Trace
from sidecar.engine.limiter.fair_queue import Ticket

_LAST: Final[frozenset[Purpose]] = frozenset({"chat", "summary", "analysis"})
"""Calls whose answer is the job's: it is kept as such."""


_LOOK_SECONDS: Final = 0.5


class Parts(Protocol):
    """Where finished calls of a job are kept, and its progress told. Whatever it raises ends the job."""

    async def find(self, key: bytes) -> str | None:
        """The answer kept under `key`."""
        ...

    async def keep(self, key: bytes | None, text: str, *, done: int, total: int) -> None:
        """Keep the answer under `key`, where it has one; `done` of `total` calls are done now."""
        ...


class Background:
    """Requests worked off by `engine`, each provider call of `longest` seconds at most."""

    def __init__(self, engine: Engine, *, longest: float) -> None:
        self.engine = engine
        self._longest = longest

    async def text(self, request: Request, parts: Parts, trace: Trace, *, deadline: float, background: bool) -> str:
        """The answer to `request`; raises the `SidecarError` of what failed it."""
        partner = _Partner(self, request, parts, trace, Deadline(deadline), background=background)
        async with self.engine.limited(deadline):
            await self._let_in()
            return await ACTIONS[request.action](request, partner, self.engine.limits)

    async def _let_in(self) -> None:
        """Wait while the provider is plainly down; who comes first when that is to be tried again goes first."""
        calls = self.engine.calls
        while calls.refusal() is not None:
            await calls.sleep(_LOOK_SECONDS)

    async def call(self, call: Call, ticket: Ticket, trace: Trace, deadline: Point) -> str:
        """The text of one provider call."""
        done = await self.engine.calls.complete(call, ticket, trace, deadline=deadline, longest=self._longest)
        return done.text


class _Partner:
    """The partner of one job's action."""

    def __init__(
        self, works: Background, request: Request, parts: Parts, trace: Trace, deadline: Point, *, background: bool
    ) -> None:
        self._works = works
        self._engine = works.engine
        self._parts = parts
        self._trace = trace
        self._deadline = deadline
        self._ticket = Ticket(request.user_id or "@jobs", background=background, patient=True)
        self._user = works.engine.pseudonym(request.user_id)
        self._done = 0
        self._total = 1

    async def split(self, text: str, *, fits: int, tokens: int) -> list[str]:
        parts = await self._engine.splitter.split(text, fits=fits, tokens=tokens)
        if len(parts) > 1:
            self._total += len(parts)
        return parts

    async def complete(self, prompt: Prompt) -> str:
        key = None if prompt.purpose in _LAST else self._engine.keys.of_work(prompt)
        text = None if key is None else await self._parts.find(key)
        if text is None:
            ask = self._asking(prompt)
            if key is None:
                text = await ask(self._deadline)
            else:
                text = await self._engine.flights.share(key, ask, deadline=self._deadline)
        self._done += 1
        await self._parts.keep(key, text, done=self._done, total=max(self._done, self._total))
        return text

    def _asking(self, prompt: Prompt) -> Callable[[Point], Awaitable[str]]:
        call = Call(messages=messages_of(prompt), max_tokens=prompt.max_tokens, user=self._user)

        async def ask(deadline: Point) -> str:
            return await self._works.call(call, self._ticket, self._trace, deadline)

        return ask
