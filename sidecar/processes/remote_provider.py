"""Port `Upstream` of the parent: an attempt at a provider is made by a serving process.

The process that holds the request makes the attempt. Work that callers of several processes share outlives the process
that began the work: another one repeats the attempt.
"""

import hashlib
from collections.abc import AsyncGenerator, Sequence
from contextvars import ContextVar
from typing import Any, Final, Protocol, Self

import msgspec

from sidecar.config.settings import Settings
from sidecar.core.errors import InternalError
from sidecar.core.ports import Call, Completion, Usage
from sidecar.processes.calls import prompted
from sidecar.processes.failures import error_from
from sidecar.processes.link import Link, Lost
from sidecar.processes.messages import Attempt, Completed, Used, decoder_of

BODY: Final = "body"
"""Field of a completion's body that has what its route made of the answer, or the error instead."""
_completed: Final[msgspec.msgpack.Decoder[Completed]] = decoder_of(Completed)
_used: Final[msgspec.msgpack.Decoder[Used]] = decoder_of(Used)


class Owner(msgspec.Struct):
    """The request that a call is made for, or that began the work which the call belongs to."""

    link: Link
    number: int
    waits: bool = True
    """True while its caller waits, and its process has the call."""
    call: bytes = b""
    """The call, in JSON, where the process holds it and others may share the answer."""
    shape: bytes = b""


OWNER: Final[ContextVar[Owner]] = ContextVar("owner")
"""The request at work; the task of a flight has that of the request which began the flight."""


class HeldCall(Call, frozen=True, kw_only=True):
    """A call that its serving process holds; here it has no messages."""

    key: bytes = b""


class Length(str):
    """A text of which only the length is known, for estimates of tokens."""

    __slots__ = ("_length",)
    _length: int

    @classmethod
    def of(cls, length: int) -> Self:
        """Return a text of this length."""
        made = cls()
        made._length = length
        return made

    def __len__(self) -> int:
        return self._length


class Links(Protocol):
    """Port: the serving processes at work."""

    @property
    def links(self) -> Sequence[Link]: ...


def digest_of(settings: Settings) -> bytes:
    """Return a digest of the connection that `settings` describe: both processes have the same settings."""
    key = settings.openai_api_key_file or settings.openai_api_key
    parts = (settings.openai_base_url, settings.openai_model, key, settings.azure_auth, settings.provider_client)
    return hashlib.sha256(msgspec.json.encode((*parts, settings.extra_body))).digest()


class RemoteProvider:
    """One provider, called by the serving processes."""

    def __init__(self, processes: Links, settings: Settings) -> None:
        self._processes = processes
        self._client = digest_of(settings)

    def warm(self) -> None:
        """Load nothing: each serving process loads what its calls need before it serves."""

    async def complete(self, call: Call, *, deadline: float) -> Completion:
        while True:
            link, message = self._attempt(call, deadline, streams=False)
            try:
                done = await link.request(message, _completed)
            except Lost:
                continue
            if not done.absent:
                return _completion(done)
            OWNER.get().waits = False  # its caller has just left, and others wait for the answer

    async def stream(self, call: Call, *, deadline: float, usage: Usage | None = None) -> AsyncGenerator[bytes, None]:
        link, message = self._attempt(call, deadline, streams=True)

        def ended(result: msgspec.Raw) -> None:
            if usage is not None:
                used = _used.decode(result)
                usage.prompt_tokens, usage.completion_tokens = used.prompt_tokens, used.completion_tokens

        events = link.stream(message, ended=ended)
        try:
            async for data in events:
                yield data
        except Lost as exc:  # the caller is gone with the process
            raise InternalError from exc
        finally:
            await events.aclose()

    def _attempt(self, call: Call, deadline: float, *, streams: bool) -> tuple[Link, Attempt]:
        """Return the process that makes the attempt, and the message to it."""
        owner = OWNER.get()
        own = not owner.link.gone
        link = owner.link if own else next((one for one in self._processes.links if not one.gone), None)
        if link is None:
            raise InternalError
        shared: dict[str, Any] = {
            "client": self._client,
            "deadline": deadline,
            "streams": streams,
            "trace": dict(call.trace),
        }
        if not isinstance(call, HeldCall):
            return link, Attempt(**shared, prompt=prompted(call))
        if own and owner.waits:
            return link, Attempt(**shared, owner=owner.number)
        if not owner.call:  # nobody else may have the answer
            raise InternalError
        return link, Attempt(**shared, call=owner.call, shape=owner.shape)

    async def aclose(self) -> None:
        """Close nothing: the connections are the serving processes'."""


def _completion(done: Completed) -> Completion:
    body: dict[str, Any] = {}
    if done.body or done.failure is not None:
        body = {BODY: done.body if done.failure is None else error_from(done.failure)}
    return Completion(
        text=done.text,
        finish_reason=done.finish_reason,
        model=done.model,
        prompt_tokens=done.prompt_tokens,
        completion_tokens=done.completion_tokens,
        body=body,
        lacks=done.lacks,
    )
