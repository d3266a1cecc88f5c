"""One attempt at the provider, the same for every adapter: post, learn the dialect, hold the deadline, read.

Adapters bring only `_post`. Retries are the engine's, sockets and outside libraries the adapters'.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING, Final, Protocol

from sidecar import __version__
from sidecar.config.settings import Settings
from sidecar.core.errors import DeadlineExceeded, EmptyResponse, UpstreamAuth, UpstreamError, UpstreamFailure
from sidecar.core.off_loop import THREAD_BYTES, off_loop
from sidecar.core.ports import Call, Completion, Usage
from sidecar.core.until import Until
from sidecar.provider import codec
from sidecar.provider.answers.reader import read
from sidecar.provider.answers.whole import MAX_ANSWER_BYTES, TOO_LARGE, refusal
from sidecar.provider.authentication import credentials_of
from sidecar.provider.dialect import Dialect, Lesson
from sidecar.provider.endpoint import endpoint
from sidecar.provider.http_answer import Answer

if TYPE_CHECKING:
    from sidecar.provider.answers.stream import StreamReader

MAX_ERROR_BYTES: Final = 64 * 2**10
"""Bytes read of a refusal's body, at most: only its first words are used."""

_JSON: Final = "application/json"
_EVENTS: Final = "text/event-stream"


class Reply(Protocol):
    """A response whose body is still to come."""

    status: int
    headers: Mapping[str, str]

    def arrived(self) -> bytes | None:
        """Return the body if all of it is here, which is cheaper than to wait for it; None otherwise."""
        ...

    async def read(self) -> bytes:
        """Return the next bytes of the body, blank at its end. Raises `UpstreamFailure` where it ends too early."""
        ...

    async def aclose(self) -> None:
        """Give the connection back if the body was read to its end, else close it at once."""
        ...


async def read_whole(reply: Reply) -> Answer:
    """Return the reply with its body, unpacked, and closed; a refusal's body is cut at `MAX_ERROR_BYTES`.

    Raises `UpstreamError` for a body over `MAX_ANSWER_BYTES`, and what `read` raises.
    """
    good = 200 <= reply.status < 300
    if (whole := reply.arrived()) is not None:
        await reply.aclose()
        if good and len(whole) > MAX_ANSWER_BYTES:
            raise UpstreamError(TOO_LARGE, status=reply.status)
    else:
        whole = await _read(reply, good=good)
    limit = MAX_ANSWER_BYTES if good else MAX_ERROR_BYTES
    whole = whole[:limit]
    if whole.startswith(b"\x1f\x8b") or "content-encoding" in reply.headers:
        from sidecar.provider.decompression import MOST_PACKED, unpacked  # noqa: PLC0415 - few pack uninvited

        whole = await off_loop(MOST_PACKED * len(whole), unpacked, whole, reply.headers, limit + good)
        if len(whole) > limit:
            raise UpstreamError(TOO_LARGE, status=reply.status)
    return Answer(reply.status, reply.headers, whole)


async def _read(reply: Reply, *, good: bool) -> bytes:
    """Return the body, read as it comes, to a little over its limit; the reply is closed."""
    body, size = BytesIO(), 0  # one growing buffer, which becomes the body without a copy
    try:
        while chunk := await reply.read():
            size += body.write(chunk)
            if good and size > MAX_ANSWER_BYTES:
                raise UpstreamError(TOO_LARGE, status=reply.status)
            if not good and size > MAX_ERROR_BYTES:
                break
    except UpstreamFailure:
        if good:
            raise  # a refusal counts by its status, even with a broken body
    finally:
        await reply.aclose()
    return body.getvalue()


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


async def _parsed(weight: int, data: Callable[[], Iterable[bytes]]) -> Iterator[bytes]:
    """Return the data that takes the parsing of `weight` bytes: many are parsed in the thread beside the loop."""

    def taken() -> tuple[list[bytes], UpstreamFailure | None]:
        found: list[bytes] = []
        try:
            found.extend(data())
        except UpstreamFailure as exc:
            return found, exc
        return found, None

    return _and_then(*await off_loop(weight, taken))


def _and_then(found: list[bytes], failure: UpstreamFailure | None) -> Iterator[bytes]:
    yield from found
    if failure is not None:
        raise failure


class HttpUpstream(ABC):
    """Port `sidecar.core.ports.Upstream` over an adapter's HTTP."""

    def __init__(self, settings: Settings) -> None:
        self._endpoint = endpoint(settings.openai_base_url)
        self._dialect = Dialect(settings.openai_model, settings.extra_body)
        self._credentials = credentials_of(settings, self._endpoint)
        self._settings = settings
        self._fixed_secrets = settings.secrets
        self._headers = fixed_headers(settings)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} to {self._endpoint.authority}>"

    @property
    def _secrets(self) -> tuple[str, ...]:
        return self._fixed_secrets + self._credentials.secrets

    @abstractmethod
    async def _post(self, body: codec.Body, accept: str, trace: Mapping[str, str]) -> Reply:
        """Post `body` to the endpoint with the headers of its trace; the answer's body is still to come.

        Raises `UpstreamFailure`.
        """

    def warm(self) -> "asyncio.Task[None] | None":
        """Begin to load what calls need, and return the task that ends when it is there; None if nothing is left."""
        return None

    @abstractmethod
    async def aclose(self) -> None:
        """Free the connections; all calls must have ended."""

    async def complete(self, call: Call, *, deadline: float) -> Completion:
        """Return the whole answer to `call`; `deadline` in seconds of the loop's clock."""
        _check_deadline(deadline)
        try:
            with Until(deadline):
                answer = await read_whole(await self._send(call, stream=False))
        except TimeoutError as exc:
            raise DeadlineExceeded from exc
        try:
            if (size := len(answer.body)) < THREAD_BYTES:
                return read(answer, call, self._secrets)
            return await off_loop(size, read, answer, call, self._secrets)
        except UpstreamAuth as exc:
            raise self._credentials.refused(exc.status) from exc

    async def stream(self, call: Call, *, deadline: float, usage: Usage | None = None) -> AsyncGenerator[bytes, None]:
        """Yield the data of the answer's events, the first one before `deadline` (seconds of the loop's clock).

        After the first event, blank data is a sign of life. `usage` takes the counts that the events name.
        """
        from sidecar.provider.answers.stream import StreamReader  # noqa: PLC0415 - the one-shot never streams

        _check_deadline(deadline)
        reply: Reply | None = None
        # One generator for all of it: each one more would cost every event its hop.
        try:
            try:
                with Until(deadline):
                    reply = await self._send(call, stream=True)
                    events = _Arriving(reply, StreamReader(reply.headers, call, self._secrets, usage or Usage()))
                    first = await events.first()
            except TimeoutError as exc:
                raise DeadlineExceeded from exc
            if first is None:
                raise EmptyResponse(status=200)
            yield first
            while (found := await events.more()) is not None:
                for data in found:
                    yield data
        finally:  # the connection is freed or closed however the generator ends
            if reply is not None:
                await reply.aclose()

    def learned(self, model: str = "") -> tuple[str, ...]:
        """Return what was learned of the requests that the provider takes for `model`, blank for the configured one."""
        return self._dialect.learned(model)

    async def _send(self, call: Call, *, stream: bool) -> Reply:
        """Return the reply to `call` whose status is 200; a call that teaches the model's dialect is sent again."""
        fields = self._dialect.fields(call, stream=stream)
        lessons: list[Lesson] = []
        trace = call.trace if self._settings.pass_traceparent else {}
        while True:
            body = codec.body_of(fields)
            reply = await self._post(body, _EVENTS if stream else _JSON, trace)
            if reply.status == 200:
                self._dialect.learn(fields, lessons, reply.status)
                return reply
            answer = await read_whole(reply)
            lesson = self._dialect.lesson(fields, answer, lessons)
            if lesson is None:
                self._dialect.learn(fields, lessons, reply.status)
                # What the refusal quotes is searched for in all texts of the call.
                failure = await off_loop(len(body), refusal, answer, call, self._secrets)
                raise self._credentials.refused(failure.status) if isinstance(failure, UpstreamAuth) else failure
            fields = lesson.mend(fields)
            lessons.append(lesson)


class _Arriving:
    """Events of a reply as its bytes come."""

    def __init__(self, reply: Reply, reader: "StreamReader") -> None:
        self._reply = reply
        self._reader = reader
        self._found: Iterator[bytes] | None = None
        """Data that `first` left."""
        self._over = False

    async def first(self) -> bytes | None:
        """Return the first data that is no sign of life, None where the stream ends without; `more` has the rest."""
        while (found := await self.more()) is not None:
            left = iter(found)
            for data in left:
                if data:
                    self._found = left
                    return data
        return None

    async def more(self) -> Iterable[bytes] | None:
        """Return the data that is left, or that the next bytes complete, which may be none; None at the end."""
        if (left := self._found) is not None:
            self._found = None
            return left
        if self._over or self._reader.done:
            return None
        reader = self._reader
        if chunk := await self._reply.read():
            weight = reader.weight(chunk)
            return reader.feed(chunk) if weight < THREAD_BYTES else await _parsed(weight, partial(reader.feed, chunk))
        self._over = True
        return await _parsed(reader.weight(), reader.end)
