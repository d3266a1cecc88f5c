"""The other end of the wire for HTTP tests: a sidecar on a free port, and a caller of exact bytes."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib.util import find_spec
from typing import Any, Final, NamedTuple, Self

from sidecar.config.load import load
from sidecar.config.settings import Settings
from sidecar.core.tracing import Tracer
from sidecar.engine.service import Service
from sidecar.http.app import Answer as Application
from sidecar.http.server.connections import Connections
from sidecar.http.server.server import Listening, serve
from sidecar.http.server.timings import Timings
from sidecar.metrics.exposition import server_exposition
from sidecar.service import service_of
from tests.support.engines import with_streams
from tests.support.held_provider import HeldUpstream
from tests.support.said_requests import SaidRequests

PATIENCE = 20.0
"""Seconds after which a test that waits for the wire has failed."""
CHECKED: Final = find_spec("jsonschema_rs") is not None
"""False where a benchmark runs in what is shipped, without the library that replies are held against."""
AT_ONCE = {"half_close_seconds": 0.0}
"""Timings where the end of a caller's sending always means that the caller left, however soon it comes."""
CHAT = b'{"action": "chat", "content": "What is a fraction?"}'


def settings_of(**named: str) -> Settings:
    """Return settings from an environment with `named` in it, and none of this machine's.

    Answers are as the provider wrote them: what HTML makes of them has its own tests.
    """
    return load({}, None, {"OPENAI_API_KEY": "sk-canary-key", "PORT": "0", "FORMAT": "markdown", **named})


class Sidecar(NamedTuple):
    """A sidecar that listens, with its engine and provider."""

    listening: Listening
    service: Service
    upstream: HeldUpstream

    async def call(self) -> "Caller":
        """Return a new connection."""
        return await Caller.connect(self.listening.host, self.listening.port)

    async def fetch(self, request: bytes, *, described: bool = True) -> "Answer":
        """Return the first answer to `request` on a new connection."""
        async with await self.call() as caller:
            caller.described = described
            await caller.send(request)
            return await caller.receive()


@asynccontextmanager
async def running(
    upstream: HeldUpstream | None = None,
    *,
    timings: dict[str, float] | None = None,
    tracer: Tracer | None = None,
    **named: str,
) -> AsyncIterator[Sidecar]:
    """A sidecar under the settings `named`, with the times and descriptors of `serve` and of streams in `timings`."""
    settings = settings_of(**named)
    upstream = upstream or HeldUpstream()
    service, limits = service_of(settings, upstream), {"linger_seconds": 2 * PATIENCE} | (timings or {})
    if "silent_seconds" in limits:
        service = with_streams(service, silent_seconds=limits.pop("silent_seconds"))
    # No test may depend on the end of lingering: such a test fails by PATIENCE first.
    metrics = server_exposition(service, client="aiohttp")
    descriptors = int(limits.pop("descriptors", 0)) or None
    times = Timings(**limits)
    async with serve(
        service, settings, metrics=metrics, tracer=tracer, timings=times, descriptors=descriptors
    ) as listening:
        yield Sidecar(listening, service, upstream)


@asynccontextmanager
async def serving(answer: Application, **options: float) -> AsyncIterator[tuple[str, int]]:
    """Serve `answer` alone behind our connections."""
    timings: dict[str, Any] = {
        "header_seconds": PATIENCE,
        "linger_seconds": PATIENCE,
        "keepalive_timeout": PATIENCE,
    } | options
    connections = Connections(answer, handler_cancellation=True, access_log=None, lingering_time=0, **timings)
    server = await asyncio.get_running_loop().create_server(connections, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()
    finally:
        server.close()
        connections.pre_shutdown()
        await connections.shutdown(1)


class Answer(NamedTuple):
    """One HTTP response; header names in lower case."""

    version: str
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Caller:
    """One connection, byte by byte. Each whole reply must be as `openapi.json` says, where a sidecar is `described`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, described: bool = True) -> None:
        self.reader = reader
        self.writer = writer
        self.described = described
        self.said = SaidRequests()

    @classmethod
    async def connect(cls, host: str, port: int, *, described: bool = True) -> Self:
        return cls(*await asyncio.open_connection(host, port), described=described)

    @classmethod
    async def over(cls, sock: socket.socket) -> Self:
        """Call over a socket that is connected already."""
        return cls(*await asyncio.open_connection(sock=sock))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.leave()

    async def leave(self) -> None:
        self.writer.close()
        with suppress(ConnectionError):  # the other side was quicker
            await self.writer.wait_closed()

    def write(self, data: bytes) -> None:
        """Say `data` without waiting for the wire."""
        self.said.add(data)
        self.writer.write(data)

    async def send(self, data: bytes) -> None:
        self.write(data)
        await self.writer.drain()

    async def flood(self) -> None:
        """Send for as long as the server reads."""
        async with asyncio.timeout(PATIENCE):
            while True:
                await self.send(b"x" * 65_536)

    async def receive(self, *, head: bool = False) -> Answer:
        """Return the next response; `head` is for one without a body in spite of its length."""
        async with asyncio.timeout(PATIENCE):
            first, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().rstrip().split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            version, status, *_ = first.split(" ")
            body = b"" if head else await self.reader.readexactly(int(headers.get("content-length", "0")))
        self.check(int(status), headers, None if head else body)
        return Answer(version, int(status), headers, body)

    def check(self, status: int, headers: dict[str, str], body: bytes | None) -> None:
        """Assert that a reply is described; `body` is None where there is none or where it is still to come."""
        if CHECKED and status != 100 and self.described:
            from tests.support.described_replies import check_reply

            check_reply(self.said.next(), status, headers, body)

    async def rest(self) -> bytes:
        """Return the remaining bytes up to the end."""
        async with asyncio.timeout(PATIENCE):
            return await self.reader.read()


def post(body: bytes = CHAT, *headers: str, path: str = "/ai", kind: str = "application/json") -> bytes:
    """Return a whole POST request with `body`, and `headers` added to the usual ones."""
    return head(f"Content-Type: {kind}", f"Content-Length: {len(body)}", *headers, path=path) + body


def head(*headers: str, path: str = "/ai", method: str = "POST") -> bytes:
    """Return a request line and headers, complete."""
    return "\r\n".join((f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *headers, "", "")).encode()


def chunks(*parts: bytes) -> bytes:
    """Return a whole body in chunks."""
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (*parts, b""))
