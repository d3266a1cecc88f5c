"""Providers that tests script byte by byte, the two adapters that call them, and the parts of a call."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest

from sidecar.config.load import load
from sidecar.config.settings import Settings
from sidecar.core.errors import UpstreamFailure
from sidecar.core.ports import Call, Completion
from sidecar.provider.aiohttp.client import AiohttpUpstream
from sidecar.provider.base import HttpUpstream
from sidecar.provider.openai_sdk import SdkUpstream
from sidecar.provider.stdlib.client import LightUpstream

KEY: Final = "sk-canary-0123456789abcdef"
Adapter = type[HttpUpstream]
every_adapter: Final = pytest.mark.parametrize(
    "adapter", [AiohttpUpstream, SdkUpstream, LightUpstream], ids=["aiohttp", "sdk", "light"]
)


def settings_of(base_url: str, **named: str) -> Settings:
    """Return settings from an environment with `named` in it, and none of this machine's."""
    return load(
        {},
        None,
        {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": base_url, "OPENAI_MODEL": "m", "FORMAT": "markdown", **named},
    )


@asynccontextmanager
async def opened(adapter: Adapter, base_url: str, **named: str) -> AsyncIterator[HttpUpstream]:
    """Open an adapter; close it at the end."""
    upstream = adapter(settings_of(base_url, **named))
    try:
        yield upstream
    finally:
        await upstream.aclose()


def call(text: str = "What is a fraction?", **more: Any) -> Call:
    return Call(messages=[{"role": "user", "content": text}], max_tokens=20, **more)


def soon(seconds: float = 20.0) -> float:
    """Return a deadline in `seconds` from now."""
    return asyncio.get_running_loop().time() + seconds


async def failing(upstream: HttpUpstream, asked: Call | None = None) -> UpstreamFailure:
    """Return the failure that a call ends with."""
    with pytest.raises(UpstreamFailure) as caught:
        await upstream.complete(asked or call(), deadline=soon())
    return caught.value


async def completed(upstream: HttpUpstream, asked: Call | None = None) -> Completion:
    return await upstream.complete(asked or call(), deadline=soon())


def completion(message: object = None, **more: object) -> dict[str, object]:
    """Return a provider's answer with this message, or with the text "Hello."."""
    message = {"role": "assistant", "content": "Hello."} if message is None else message
    return {"model": "m-1", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}], **more}


def http(body: object = None, status: int = 200, **headers: str) -> bytes:
    """Return an HTTP answer; a body that is not bytes goes out as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(completion() if body is None else body).encode()
    fields = {"Content-Type": "application/json", "Content-Length": str(len(raw))}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value)
    return f"HTTP/1.1 {status} Said\r\n{head}\r\n".encode() + raw


def refused(message: str, status: int, *, type: str = "", code: str | None = None, **headers: str) -> bytes:  # noqa: A002
    return http({"error": {"message": message, "type": type, "code": code}}, status, **headers)


class ReceivedRequest:
    """One request as it arrived."""

    def __init__(self, head: bytes, body: bytes, connection: int) -> None:
        self.line, *lines = head.decode("latin-1").strip().split("\r\n")
        self.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        self.body = body
        self.connection = connection
        """Number of the connection that the request came on, from 1."""

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class CannedProvider:
    """A provider that gives its next answer to each request, the last one for ever, and records the requests."""

    def __init__(self, answers: Sequence[bytes], *, close: bool) -> None:
        self.url = ""
        self.port = 0
        self.received: list[ReceivedRequest] = []
        self.connections = 0
        self.left = asyncio.Event()
        """Set once a caller has closed the connection."""
        self._answers = list(answers)
        self._close = close

    def say(self, *answers: bytes) -> None:
        """Give these answers from the next request on."""
        self._answers = list(answers)
        self.received.clear()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                heard = ReceivedRequest(head, b"", number)
                heard.body = await reader.readexactly(int(heard.headers.get("content-length", "0")))
                self.received.append(heard)
                answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
                writer.write(answer)
                await writer.drain()
                if self._close or not answer:
                    break
        except (asyncio.IncompleteReadError, OSError):
            self.left.set()
        finally:
            writer.transport.close()


@asynccontextmanager
async def listening(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]], tls: ssl.SSLContext | None = None
) -> AsyncIterator[asyncio.Server]:
    """Run a server on a free port; at the block's end check that every connection has ended."""
    busy: set[asyncio.Task[None]] = set()

    def come(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(serve(reader, writer))
        busy.add(task)
        task.add_done_callback(busy.discard)

    async with await asyncio.start_server(come, "127.0.0.1", 0, ssl=tls) as server:
        yield server
        if busy:
            _, late = await asyncio.wait(busy, timeout=10)
            assert not late, "a caller did not leave"


@asynccontextmanager
async def canned(
    *answers: bytes, tls: ssl.SSLContext | None = None, close: bool = False
) -> AsyncIterator[CannedProvider]:
    """Run a `CannedProvider`; an answer of no bytes closes the connection, `close` closes after each answer."""
    provider = CannedProvider(answers or (http(),), close=close)
    async with listening(provider.serve, tls) as server:
        provider.port = server.sockets[0].getsockname()[1]
        provider.url = f"http{'s' if tls else ''}://127.0.0.1:{provider.port}/v1"
        yield provider
