"""One attempt at the provider, the same for every adapter: ask, mend the limit's name, hold the deadline, read.

Adapters bring only `_post`. No retries here (the engine has them), no sockets, no outside library.
"""

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from sidecar.config.settings import Settings
from sidecar.core.errors import DeadlineExceeded, EmptyResponse, UpstreamError, UpstreamFailure
from sidecar.core.ports import Call, Completion
from sidecar.provider import codec
from sidecar.provider.connection_errors import cut
from sidecar.provider.endpoint import endpoint
from sidecar.provider.error_body import reports
from sidecar.provider.http_answer import Answer

if TYPE_CHECKING:
    from sidecar.provider.sse import Event

MAX_ANSWER_BYTES: Final = 16 * 2**20
MAX_ERROR_BYTES: Final = 64 * 2**10
"""Of a refusal no more is read: its first words are all that is used."""

_JSON: Final = "application/json"
_EVENTS: Final = "text/event-stream"


class Reply(Protocol):
    """A response whose body is still to come."""

    status: int
    headers: Mapping[str, str]

    def chunks(self) -> AsyncGenerator[bytes, None]:
        """The body's bytes as they come. Raises `UpstreamFailure` where they end too early."""
        ...

    async def aclose(self) -> None:
        """Give the connection back if the body was read to its end, else close it at once."""
        ...


async def whole(reply: Reply) -> Answer:
    """Return the reply with its body, closed; a refusal's body is unpacked, and cut at `MAX_ERROR_BYTES`.

    Raises `UpstreamError` for a body over `MAX_ANSWER_BYTES`, and what `chunks` raises.
    """
    good = 200 <= reply.status < 300
    body = bytearray()
    try:
        async with contextlib.aclosing(reply.chunks()) as chunks:
            async for chunk in chunks:
                body += chunk
                if good and len(body) > MAX_ANSWER_BYTES:
                    raise UpstreamError("The AI provider's answer is larger than 16 MiB.", status=reply.status)
                if not good and len(body) > MAX_ERROR_BYTES:
                    break
    except UpstreamFailure:
        if good:
            raise  # of a refusal the status says the most, however its body ends
    finally:
        await reply.aclose()
    if good:
        return Answer(reply.status, reply.headers, bytes(body))
    from sidecar.provider.decompression import unpacked  # noqa: PLC0415 - not needed when all is well

    return Answer(reply.status, reply.headers, unpacked(bytes(body[:MAX_ERROR_BYTES]), reply.headers, MAX_ERROR_BYTES))


def _in_time(deadline: float) -> None:
    """Raises `DeadlineExceeded` where the deadline has passed: a request sent only to be cancelled may cost money."""
    if asyncio.get_running_loop().time() >= deadline:
        raise DeadlineExceeded


class HttpUpstream(ABC):
    """The port `sidecar.core.ports.Upstream`, over an adapter's HTTP."""

    def __init__(self, settings: Settings) -> None:
        self._endpoint = endpoint(settings.openai_base_url)
        self._dialect = codec.Dialect(settings.openai_model, settings.extra_body)
        self._secrets = settings.secrets

    def __repr__(self) -> str:
        return f"<{type(self).__name__} to {self._endpoint.authority}>"

    @abstractmethod
    async def _post(self, body: bytes, accept: str) -> Reply:
        """Post `body` to the endpoint; the answer's body is still to come. Raises `UpstreamFailure`."""

    @abstractmethod
    async def aclose(self) -> None:
        """Free connections; no call may be under way."""

    async def complete(self, call: Call, *, deadline: float) -> Completion:
        """The whole answer to `call`; `deadline` in seconds of the loop's clock."""
        fields = self._dialect.fields(call)
        _in_time(deadline)
        try:
            async with asyncio.timeout_at(deadline):
                answer = await whole(await self._post(codec.encode(fields), _JSON))
                if codec.refuses_limit(fields, answer):
                    answer = await whole(await self._post(codec.encode(codec.with_newer_limit(fields)), _JSON))
                    self._learn(fields, answer.status)
        except TimeoutError as exc:
            raise DeadlineExceeded from exc
        return codec.read(answer, call, self._secrets)

    async def stream(self, call: Call, *, deadline: float) -> AsyncGenerator[bytes, None]:
        """The data of the answer's events; the first one comes before `deadline` (seconds of the loop's clock)."""
        _in_time(deadline)
        try:
            async with asyncio.timeout_at(deadline):
                events = self._events(await self._streaming(call), call)
                first = await anext(events, None)
        except TimeoutError as exc:
            raise DeadlineExceeded from exc
        if first is None:
            raise EmptyResponse(status=200)
        async with contextlib.aclosing(events):
            yield first
            async for data in events:
                yield data

    async def _streaming(self, call: Call) -> Reply:
        fields = self._dialect.fields(call, stream=True)
        reply = await self._post(codec.encode(fields), _EVENTS)
        if streams(reply):
            return reply
        answer = await whole(reply)
        if not codec.refuses_limit(fields, answer):
            raise self._no_stream(answer, call)
        reply = await self._post(codec.encode(codec.with_newer_limit(fields)), _EVENTS)
        self._learn(fields, reply.status)
        if streams(reply):
            return reply
        raise self._no_stream(await whole(reply), call)

    def _learn(self, fields: Mapping[str, Any], status: int) -> None:
        if status not in (400, 422):
            self._dialect.learn(fields)

    def _no_stream(self, answer: Answer, call: Call) -> UpstreamFailure:
        if answer.status != 200 or reports(codec.parse(answer)):
            return codec.refusal(answer, call, self._secrets)
        return UpstreamError("The AI provider does not stream its answers.", status=answer.status)

    async def _events(self, reply: Reply, call: Call) -> AsyncGenerator[bytes, None]:
        """Owns the reply: however this generator ends, the connection is free or closed."""
        from sidecar.provider.sse import Events, EventTooLargeError  # noqa: PLC0415 - the one-shot never streams

        parser = Events()
        finished = False
        try:
            async with contextlib.aclosing(reply.chunks()) as chunks:
                async for chunk in chunks:
                    for event in parser.feed(chunk):
                        if event.data == b"[DONE]":
                            return
                        if not event.data:  # a sign of life of some gateways
                            continue
                        finished = self._look(event, reply, call) or finished
                        yield event.data
            if not finished:  # some gateways leave out [DONE], which is well once a choice was finished
                raise cut()
        except EventTooLargeError as exc:
            raise UpstreamError("The AI provider's stream holds an event larger than 1 MiB.") from exc
        finally:
            await reply.aclose()

    def _look(self, event: "Event", reply: Reply, call: Call) -> bool:
        """Whether the event finishes the answer. Raises the `UpstreamFailure` that it reports, or is."""
        try:
            seen = _glance.decode(event.data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            raise UpstreamError("The AI provider's stream holds something that is not JSON.") from exc
        if event.name == b"error" or reports({"error": seen.error, "base_resp": seen.base_resp, "choices": None}):
            answer = Answer(200, reply.headers, event.data)
            raise codec.refusal(answer, call, self._secrets)
        return b'"finish_reason"' in event.data and b'"finish_reason":null' not in event.data.replace(b" ", b"")


class _Glance(msgspec.Struct):
    error: Any = None
    base_resp: Any = None


_glance: Final = msgspec.json.Decoder(_Glance)


def streams(reply: Reply) -> bool:
    """Whether the reply is a stream of events, as far as its head says."""
    kind = reply.headers.get("content-type", "text/event-stream")
    return reply.status == 200 and not kind.startswith(("application/json", "text/html"))
