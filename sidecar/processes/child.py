"""The serving process's end: attempts at providers that the parent wants, made with this process's clients."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Final, Protocol
from weakref import WeakValueDictionary

import msgspec

from sidecar.config.settings import Settings
from sidecar.core.contract import sendable
from sidecar.core.errors import SidecarError, UpstreamUnreachable
from sidecar.core.off_loop import off_loop
from sidecar.core.ports import Call, Completion, Upstream, Usage
from sidecar.engine.completions import Shape
from sidecar.processes.calls import call_of, decode_call
from sidecar.processes.failures import failure_of
from sidecar.processes.lease import Lease
from sidecar.processes.link import Link, Parts
from sidecar.processes.messages import Attempt, Completed, Lend, NotesToChild, Settle, Stop, ToChild, Used, decoder_of
from sidecar.processes.relay import Holdings
from sidecar.processes.remote_provider import digest_of

_messages: Final[msgspec.msgpack.Decoder[ToChild]] = decoder_of(ToChild)
_notes: Final[msgspec.msgpack.Decoder[NotesToChild]] = decoder_of(NotesToChild)


class Client(Upstream, Protocol):
    """Port: a provider whose client may have to load first."""

    def warm(self) -> "asyncio.Task[None] | None":
        """Begin to load what calls need, and return the task that ends when it is there; None if nothing is left."""
        ...


class LentClient:
    """A client that is closed once the parent's attempts with it have ended: PROVIDERS_FILE may drop it before."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._running = 0
        self._emptied = asyncio.Event()

    def warm(self) -> "asyncio.Task[None] | None":
        """See `Client.warm`."""
        return self._client.warm()

    def _ended(self) -> None:
        self._running -= 1
        if not self._running:
            self._emptied.set()

    async def complete(self, call: Call, *, deadline: float) -> Completion:
        self._running += 1
        try:
            return await self._client.complete(call, deadline=deadline)
        finally:
            self._ended()

    async def stream(self, call: Call, *, deadline: float, usage: Usage | None = None) -> AsyncGenerator[bytes, None]:
        self._running += 1
        try:
            async with aclosing(self._client.stream(call, deadline=deadline, usage=usage)) as events:
                async for data in events:
                    yield data
        finally:
            self._ended()

    async def aclose(self) -> None:
        while self._running:
            self._emptied.clear()
            await self._emptied.wait()
        await self._client.aclose()


class Clients:
    """Clients of this process by the digest of their connection; `reload` reads PROVIDERS_FILE again."""

    def __init__(self) -> None:
        self._made: WeakValueDictionary[bytes, LentClient] = WeakValueDictionary()
        self.reload: Callable[[], None] = lambda: None

    def add(self, settings: Settings, client: Client) -> LentClient:
        """Return the client that was made of these settings, as attempts have it as long as it is in use."""
        lent = self._made[digest_of(settings)] = LentClient(client)
        return lent

    def find(self, digest: bytes) -> LentClient:
        """Return a client; raise `UpstreamUnreachable` for a connection that PROVIDERS_FILE does not have here."""
        if (found := self._made.get(digest)) is None:
            self.reload()  # the parent has read the file already
            found = self._made.get(digest)
        if found is None:
            raise UpstreamUnreachable("The AI provider's settings have just changed. Please try again.", unsent=True)
        return found


class ChildEnd:
    """Makes attempts for the parent. `shapes` reads the shape of a body that another process held."""

    def __init__(
        self,
        clients: Clients,
        shapes: Callable[[bytes], Shape],
        *,
        stop: Callable[[Stop], None],
        lost: Callable[[], None],
    ) -> None:
        self._clients = clients
        self._shapes = shapes
        self._stop = stop
        self.holdings: Holdings = {}
        self.lease: Lease | None = None
        """Places that this process may fill without asking, once it serves."""
        self.link = Link(self._work, note=self._note, lost=lost)

    def _note(self, body: msgspec.Raw) -> None:
        note = _notes.decode(body)
        if isinstance(note, Lend):
            if self.lease is not None:
                self.lease.lend(note)
        elif isinstance(note, Stop):
            self._stop(note)
        elif (held := self.holdings.get(note.owner)) is not None and held.place is not None:
            held.place.step_aside()

    async def _work(self, _number: int, body: msgspec.Raw, parts: Parts) -> object:
        attempt = _messages.decode(body)
        if isinstance(attempt, Settle):
            if self.lease is not None:
                self.lease.report()
            return None
        if (found := self._call(attempt)) is None:
            if attempt.streams:
                raise UpstreamUnreachable(unsent=True)
            return Completed(absent=True)
        (call, shape), client = found, self._clients.find(attempt.client)
        if not attempt.streams:
            done = await client.complete(call, deadline=attempt.deadline)
            return _plain(done) if shape is None else await _shaped(done, shape)
        usage = Usage()
        async with aclosing(client.stream(call, deadline=attempt.deadline, usage=usage)) as events:
            async for data in events:
                await parts.send(data)
        return Used(usage.prompt_tokens, usage.completion_tokens)

    def _call(self, attempt: Attempt) -> tuple[Call, Shape | None] | None:
        """Return the call, and what makes a body of its answer; None for a call whose caller has left."""
        if attempt.prompt is not None:
            return call_of(attempt.prompt, attempt.trace), None
        if not attempt.owner:
            return decode_call(attempt.call, attempt.trace), self._shapes(attempt.shape)
        held = self.holdings.get(attempt.owner)
        if held is None or held.call is None:
            return None
        call = msgspec.structs.replace(held.call, trace=attempt.trace) if attempt.trace else held.call
        return call, held.shape


def _plain(done: Completion) -> Completed:
    return Completed(
        text=sendable(done.text),
        finish_reason=sendable(done.finish_reason),
        model=sendable(done.model),
        prompt_tokens=done.prompt_tokens,
        completion_tokens=done.completion_tokens,
        lacks=done.lacks,
    )


async def _shaped(done: Completion, shape: Shape) -> Completed:
    counted = done.prompt_tokens or done.completion_tokens
    completed = Completed(
        text="" if counted else sendable(done.text),  # for an estimate of tokens alone
        prompt_tokens=done.prompt_tokens,
        completion_tokens=done.completion_tokens,
    )
    try:
        body = await off_loop(len(done.text), shape, done)
    except SidecarError as exc:
        return msgspec.structs.replace(completed, failure=failure_of(exc))
    return msgspec.structs.replace(completed, body=body)
