"""The background runner: requests without a waiting connection, that is jobs and lines of a batch.

They enter at the action, past admission and the requests' single flight. Their finished calls can be stored outside,
so that work whose process ended goes on where it stood. No Redis and no file is known here.
"""

from typing import Final, Protocol

from sidecar.core.contract import Request
from sidecar.core.errors import UpstreamUnreachable
from sidecar.core.off_loop import off_loop
from sidecar.core.ports import Call, Prompt, Purpose
from sidecar.core.reach import EVERY, Reach
from sidecar.engine.actions import ACTIONS, Limits
from sidecar.engine.completer import SplitterPort, messages_of, text_of
from sidecar.engine.deadline import Deadline, Point
from sidecar.engine.drain import Drain
from sidecar.engine.kernel import Kernel
from sidecar.engine.limiter.ticket import Ticket
from sidecar.engine.limiter.trace import Trace
from sidecar.engine.single_flight import Work

_LAST: Final[frozenset[Purpose]] = frozenset({"chat", "summary", "analysis"})
"""Calls whose answer is the job's own answer: it is stored as such."""
_LOOK_SECONDS: Final = 0.5
"""Between two looks at whether the provider is back."""


class Parts(Protocol):
    """Port: the finished calls of one job, and its progress. Whatever a method raises ends the job."""

    async def find(self, key: bytes) -> str | None:
        """Return the answer stored under `key`."""
        ...

    async def keep(self, key: bytes | None, text: str, *, done: int, total: int) -> None:
        """Store the answer under `key`, where it has one; `done` of `total` calls are done now."""
        ...


class Background:
    """Works requests off, over the kernel; a provider call takes `longest` seconds at most."""

    def __init__(self, kernel: Kernel, *, drain: Drain, splitter: SplitterPort, limits: Limits, longest: float) -> None:
        self._kernel = kernel
        self._drain = drain
        self._splitter = splitter
        self._limits = limits
        self._longest = longest

    async def text(
        self,
        request: Request,
        parts: Parts,
        trace: Trace,
        *,
        deadline: float,
        background: bool,
        reach: Reach = EVERY["jobs"],
    ) -> str:
        """Return the answer to `request`; raises the `SidecarError` of the call that failed."""
        user = request.user_id or "@jobs"
        ticket = Ticket(user, background=background, patient=True, reach=reach, unattended=True)
        calling = _Calling(self._kernel, request.user_id, ticket, trace, longest=self._longest)
        completer = _JobCompleter(self._kernel, self._splitter, calling, parts, Deadline(deadline))
        with self._drain.within(deadline):
            await self._provider_back(reach)
            return await ACTIONS[request.action](request, completer, self._limits)

    async def _provider_back(self, reach: Reach) -> None:
        """Wait while the provider is plainly down; the first to come when it is to be tried again goes first.

        Raises `UpstreamUnreachable` for a text of some providers only: its place at work is others' meanwhile.
        """
        calls = self._kernel.calls
        while (refusal := calls.refusal(reach)) is not None:
            if reach.names is not None:
                raise UpstreamUnreachable(str(refusal))
            await calls.sleep(_LOOK_SECONDS)


class _Calling:
    """Makes the provider calls of one job."""

    def __init__(self, kernel: Kernel, user_id: str, ticket: Ticket, trace: Trace, *, longest: float) -> None:
        self._calls = kernel.calls
        self._user = kernel.pseudonym(user_id)
        self._ticket = ticket
        self._trace = trace
        self._longest = longest

    @property
    def reach(self) -> Reach:
        """Providers that may have the job's texts."""
        return self._ticket.reach

    def work(self, prompt: Prompt) -> Work[str]:
        """Return the work that completes `prompt` by a deadline."""
        call = Call(messages=messages_of(prompt), max_tokens=prompt.max_tokens, user=self._user)

        async def complete(deadline: Point) -> str:
            longest = self._longest
            done = await self._calls.complete(call, self._ticket, self._trace, deadline=deadline, longest=longest)
            return text_of(done)

        return complete


class _JobCompleter:
    """Completes the prompts of one job's action: a finished part is found, a new one is stored."""

    def __init__(
        self, kernel: Kernel, splitter: SplitterPort, calling: _Calling, parts: Parts, deadline: Point
    ) -> None:
        self._flights = kernel.flights
        self._keys = kernel.keys
        size = kernel.contexts.of(calling.reach)
        self.room, self.exceeded = size.room, size.exceeded
        self._splitter = splitter
        self._calling = calling
        self._parts = parts
        self._deadline = deadline
        self._done = 0
        self._total = 1

    async def split(self, text: str, *, fits: int, tokens: int) -> list[str]:
        parts = await self._splitter.split(text, fits=fits, tokens=tokens)
        if len(parts) > 1:
            self._total += len(parts)
        return parts

    async def complete(self, prompt: Prompt) -> str:
        key, names = None, self._calling.reach.names
        if prompt.purpose not in _LAST:
            key = await off_loop(len(prompt.user), self._keys.of_work, prompt, names)
        text = None if key is None else await self._parts.find(key)
        if text is None:
            work = self._calling.work(prompt)
            if key is None:
                text = await work(self._deadline)
            else:
                text = await self._flights.share(key, work, deadline=self._deadline)
        self._done += 1
        await self._parts.keep(key, text, done=self._done, total=max(self._done, self._total))
        return text
