"""All connections of one server: which are open, which still need an answer, and how they end together.

One connection is protocol.py's; accepting is acceptor.py's. Written out because aiohttp's server knows one ending for
all its connections, and keeps no list of those that still need an answer.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from aiohttp import StreamReader, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage
from aiohttp.web_protocol import RequestHandler

from sidecar.http.request import Arrival
from sidecar.http.router import Refuse, envelope
from sidecar.http.server.protocol import Protocol


def _plain(_path: str) -> Refuse:
    return envelope


class Connections(web.Server):
    """Makes a `Protocol` for each connection and an `Arrival` for each request."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.open: set[Protocol] = set()
        """Connections that hold a descriptor."""
        self.on_end: Callable[[], None] | None = None
        """Called when the descriptor of a connection is free again."""
        self._unanswered: set[Protocol] = set()
        """Connections with a request, or that may still bring one; excludes those that wait for the caller to close."""
        self._concluded: asyncio.Event | None = None
        self._options = {"refusal": _plain} | self._kwargs | {"over": self._over}

    def __call__(self) -> Protocol:
        protocol = Protocol(self, loop=self._loop, **self._options)
        self.open.add(protocol)
        self._unanswered.add(protocol)
        return protocol

    def _over(self, protocol: Protocol) -> None:
        self._unanswered.discard(protocol)
        if not self._unanswered and self._concluded is not None:
            self._concluded.set()
            self._concluded = None

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        super().connection_lost(handler, exc)
        if isinstance(handler, Protocol):
            # The descriptor itself is closed in the same turn, after this call.
            self._loop.call_soon(self.forget, handler)

    def forget(self, protocol: Protocol) -> None:
        """Remove `protocol`, whose descriptor is free."""
        self._over(protocol)
        self.open.discard(protocol)
        if self.on_end is not None:
            self.on_end()

    def disable_keep_alive(self) -> None:
        """Close every open connection after its answer, and idle ones at once."""
        for protocol in list(self.open):
            protocol.disable_keep_alive()

    async def conclude(self, seconds: float) -> None:
        """Answer and close every open connection; one without a request yet has `seconds` to send it."""
        for protocol in list(self.open):
            protocol.conclude(seconds)
        while self._unanswered:
            self._concluded = self._concluded or asyncio.Event()
            await self._concluded.wait()

    async def first_requests(self, seconds: float) -> None:
        """Wait until every open connection has sent its first request, `seconds` at most."""
        for protocol in list(self.open):
            protocol.conclude(seconds)
        await asyncio.gather(*(protocol.first_request() for protocol in self.open))

    def _make_request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: RequestHandler,
        writer: AbstractStreamWriter,
        task: "asyncio.Task[None]",
    ) -> Arrival:
        request = Arrival(message, payload, protocol, writer, task, self._loop)
        request.arrived = protocol.arrival() if isinstance(protocol, Protocol) else time.monotonic()
        return request
