"""One attempt at the provider, the same for every adapter: post, adapt the limit's name, hold the deadline, read.

Adapters bring only `_post`. Retries are the engine's, sockets and outside libraries the adapters'.
"""

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from sidecar import __version__
from sidecar.config.settings import Settings
from sidecar.core.errors import DeadlineExceeded, EmptyResponse, UpstreamAuth, UpstreamError, UpstreamFailure
from sidecar.core.ports import Call, Completion
from sidecar.provider import codec
from sidecar.provider.authentication import credentials_of
from sidecar.provider.connection_errors import cut
from sidecar.provider.endpoint import endpoint
from sidecar.provider.error_body import reports
from sidecar.provider.http_answer import Answer

if TYPE_CHECKING:
    from sidecar.provider.sse import Event

MAX_ANSWER_BYTES: Final = 16 * 2**20
MAX_ERROR_BYTES: Final = 64 * 2**10
"""Bytes read of a refusal's body, at most: only its first words are used."""

_JSON: Final = "application/json"
_EVENTS: Final = "text/event-stream"


class Reply(Protocol):
    """A response whose body is still to come."""

    status: int
    headers: Mapping[str, str]

    def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield the body's bytes as they come. Raises `UpstreamFailure` where the body ends too early."""
        ...

    async def aclose(self) -> None:
        """Give the connection back if the body was read to its end, else close it at once."""
        ...


async def read_whole(reply: Reply) -> Answer:
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
            raise  # a refusal counts by its status, even with a broken body
    finally:
        await reply.aclose()
    if good:
        return Answer(reply.status, reply.headers, bytes(body))
    from sidecar.provider.decompression import unpacked  # noqa: PLC0415 - needed for refusals only

    return Answer(reply.status, reply.headers, unpacked(bytes(body[:MAX_ERROR_BYTES]), reply.headers, MAX_ERROR_BYTES))


def fixed_headers(settings: Settings) -> dict[str, str]:
    """Return the headers that every request carries."""
    headers = {
        "User-Agent": f"openai-moodle-sidecar/{__version__}",
        "Content-Type": "application/json",
        "Accept-Encoding": "identity",  # else a small answer could become a huge one
        "OpenAI-Organization": settings.openai_org_id,
        "OpenAI-Project": settings.openai_project_id,
    }
    return {name: value for name, value in headers.items() if value}


def _check_deadline(deadline: float) -> None:
    """Raise `DeadlineExceeded` after the deadline: a request sent only to be cancelled may cost money."""
    if asyncio.get_running_loop().time() >= deadline:
        raise DeadlineExceeded


class HttpUpstream(ABC):
    """Port `sidecar.core.ports.Upstream` over an adapter's HTTP."""

    def __init__(self, settings: Settings) -> None:
        self._endpoint = endpoint(settings.openai_base_url)
        self._dialect = codec.Dialect(settings.openai_model, settings.extra_body)
        self._credentials = credentials_of(settings, self._endpoint)
        self._settings = settings
        self._headers = fixed_headers(settings)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} to {self._endpoint.authority}>"

    @property
    def _secrets(self) -> tuple[str, ...]:
        return self._settings.secrets + self._credentials.secrets

    @abstractmethod
    async def _post(self, body: bytes, accept: str) -> Reply:
        """Post `body` to the endpoint; the answer's body is still to come. Raises `UpstreamFailure`."""

    def warm(self) -> "asyncio.Task[None] | None":
        """Begin to load what calls need, and return the task that ends when it is there; None if nothing is left."""
        return None

    @abstractmethod
    async def aclose(self) -> None:
        """Free the connections; all calls must have ended."""

    async def complete(self, call: Call, *, deadline: float) -> Completion:
        """Return the whole answer to `call`; `deadline` in seconds of the loop's clock."""
        fields = self._dialect.fields(call)
        _check_deadline(deadline)
        try:
            async with asyncio.timeout_at(deadline):
                answer = await read_whole(await self._post(codec.encode(fields), _JSON))
                if codec.refuses_limit(fields, answer):
                    answer = await read_whole(await self._post(codec.encode(codec.with_newer_limit(fields)), _JSON))
                    self._learn(fields, answer.status)
        except TimeoutError as exc:
            raise DeadlineExceeded from exc
        try:
            return codec.read(answer, call, self._secrets)
        except UpstreamAuth as exc:
            raise self._credentials.refused(exc.status) from exc

    async def stream(self, call: Call, *, deadline: float) -> AsyncGenerator[bytes, None]:
        """Yield the data of the answer's events, the first one before `deadline` (seconds of the loop's clock)."""
        _check_deadline(deadline)
        try:
            async with asyncio.timeout_at(deadline):
                events = self._events(await self._post_stream(call), call)
                first = await anext(events, None)
        except TimeoutError as exc:
            raise DeadlineExceeded from exc
        if first is None:
            raise EmptyResponse(status=200)
        async with contextlib.aclosing(events):
            yield first
            async for data in events:
                yield data

    async def _post_stream(self, call: Call) -> Reply:
        fields = self._dialect.fields(call, stream=True)
        reply = await self._post(codec.encode(fields), _EVENTS)
        if is_event_stream(reply):
            return reply
        answer = await read_whole(reply)
        if not codec.refuses_limit(fields, answer):
            raise self._stream_refusal(answer, call)
        reply = await self._post(codec.encode(codec.with_newer_limit(fields)), _EVENTS)
        self._learn(fields, reply.status)
        if is_event_stream(reply):
            return reply
        raise self._stream_refusal(await read_whole(reply), call)

    def _learn(self, fields: Mapping[str, Any], status: int) -> None:
        if status not in (400, 422):
            self._dialect.learn(fields)

    def _stream_refusal(self, answer: Answer, call: Call) -> UpstreamFailure:
        if answer.status != 200 or reports(codec.parse(answer)):
            failure = codec.refusal(answer, call, self._secrets)
            return self._credentials.refused(failure.status) if isinstance(failure, UpstreamAuth) else failure
        return UpstreamError("The AI provider does not stream its answers.", status=answer.status)

    async def _events(self, reply: Reply, call: Call) -> AsyncGenerator[bytes, None]:
        """Yield the reply's events and own the reply: the connection is freed or closed however the generator ends."""
        from sidecar.provider.sse import Events, EventTooLargeError  # noqa: PLC0415 - the one-shot never streams

        parser = Events()
        finished = False
        try:
            async with contextlib.aclosing(reply.chunks()) as chunks:
                async for chunk in chunks:
                    for event in parser.feed(chunk):
                        if event.data == b"[DONE]":
                            return
                        if not event.data:  # some gateways send empty events to hold the connection open
                            continue
                        finished = self._finishes(event, reply, call) or finished
                        yield event.data
            if not finished:  # some gateways leave out [DONE], which is fine after a finished choice
                raise cut()
        except EventTooLargeError as exc:
            raise UpstreamError("The AI provider's stream holds an event larger than 1 MiB.") from exc
        finally:
            await reply.aclose()

    def _finishes(self, event: "Event", reply: Reply, call: Call) -> bool:
        """Return whether the event finishes the answer. Raises the `UpstreamFailure` that the event reports or is."""
        try:
            seen = _event_head.decode(event.data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            raise UpstreamError("The AI provider's stream holds something that is not JSON.") from exc
        if event.name == b"error" or reports({"error": seen.error, "base_resp": seen.base_resp, "choices": None}):
            answer = Answer(200, reply.headers, event.data)
            raise codec.refusal(answer, call, self._secrets)
        return b'"finish_reason"' in event.data and b'"finish_reason":null' not in event.data.replace(b" ", b"")


class _EventHead(msgspec.Struct):
    error: Any = None
    base_resp: Any = None


_event_head: Final = msgspec.json.Decoder(_EventHead)


def is_event_stream(reply: Reply) -> bool:
    """Return whether status and content type of the reply are those of an event stream."""
    kind = reply.headers.get("content-type", "text/event-stream")
    return reply.status == 200 and not kind.startswith(("application/json", "text/html"))
