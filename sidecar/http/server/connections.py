"""All connections of one server: who is here, whom an answer is owed, and how they end together.

What happens on one of them is protocol.py's; how they are accepted, acceptor.py's. Written out because aiohttp's server
knows one ending for all its connections, and keeps no list of those that are owed an answer.
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
        """Those that hold a descriptor."""
        self.on_end: Callable[[], None] | None = None
        """Called when one of them gave its descriptor back."""
        self._owed: set[Protocol] = set()
        """Those that were asked something, or may still be; not those that only wait for the caller to close."""
        self._concluded: asyncio.Event | None = None

    def __call__(self) -> Protocol:
        protocol = Protocol(self, loop=self._loop, over=self._over, **({"refusal": _plain} | self._kwargs))
        self.open.add(protocol)
        self._owed.add(protocol)
        return protocol

    def _over(self, protocol: Protocol) -> None:
        self._owed.discard(protocol)
        if not self._owed and self._concluded is not None:
            self._concluded.set()
            self._concluded = None

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        super().connection_lost(handler, exc)
        if isinstance(handler, Protocol):
            # The descriptor itself is closed in the same turn, after this call.
            self._loop.call_soon(self.forget, handler)

    def forget(self, protocol: Protocol) -> None:
        """Count it no longer: its descriptor is free."""
        self._over(protocol)
        self.open.discard(protocol)
        if self.on_end is not None:
            self.on_end()

    def keep_none(self) -> None:
        """Let everyone who is here go after the answer he waits for; idle connections end at once."""
        for protocol in list(self.open):
            protocol.keep_no_longer()

    async def conclude(self, seconds: float) -> None:
        """Answer everyone who is here and end; who has asked nothing yet has `seconds` to do so."""
        for protocol in list(self.open):
            protocol.conclude(seconds)
        while self._owed:
            self._concluded = self._concluded or asyncio.Event()
            await self._concluded.wait()

    async def hear(self, seconds: float) -> None:
        """Let who has asked nothing yet do so, `seconds` at most; return when there is nobody left of that kind."""
        for protocol in list(self.open):
            protocol.conclude(seconds)
        await asyncio.gather(*(protocol.heard() for protocol in self.open))

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
