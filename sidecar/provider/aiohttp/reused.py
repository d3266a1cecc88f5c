"""Requests on reused connections, past the library's client: one write, one answer, and the connection is free again.

The library opens, keeps and drops the connections and parses the answers, as for every other request. What its client
does in between (cookies, redirects, authentication, a task that writes) took a third of a provider call's time, and
nothing of it is used here.
"""

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import aiohttp
from aiohttp import StreamReader
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ClientRequest, ConnectionKey
from aiohttp.connector import Connection
from aiohttp.http import RawResponseMessage
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.tracing import Trace

from sidecar.provider.aiohttp.response_handler import FailingResponseHandler, body_failure, joining
from sidecar.provider.codec import STEP

LARGEST: Final = STEP
"""Bytes of a body that is written with its head at once."""
_UNSENDABLE: Final = ("\r", "\n", "\0")


class Heads:
    """Heads of requests, of which nearly every one is the same as the last."""

    def __init__(self) -> None:
        self._of: tuple[str, str, Mapping[str, str]] | None = None
        self._head = b""

    def head(self, authority: str, target: str, headers: Mapping[str, str]) -> bytes:
        """Return the head of a request up to the number of its Content-Length; blank if it cannot be sent as it is."""
        of = (authority, target, headers)
        if of != self._of:
            names = {name.lower() for name in headers}
            lines = [f"POST {target} HTTP/1.1", f"Host: {authority}"]
            lines += [f"{name}: {value}" for name, value in headers.items()]
            good = not any(sign in line for line in lines for sign in _UNSENDABLE) and target.isascii()
            good = good and names.isdisjoint(("host", "content-length", "transfer-encoding", "connection", "expect"))
            self._head = "\r\n".join([*lines, "Content-Length: "]).encode() if good else b""
            self._of = of
        return self._head


class ReusingConnector(aiohttp.TCPConnector):
    """Connector to one endpoint, whose kept connections can be taken without a request of the library's."""

    key: ConnectionKey | None = None
    """Key of the connections; None before the first."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        handler: type[ResponseHandler] = FailingResponseHandler
        self._factory = partial(handler, loop=asyncio.get_running_loop())

    def opens(self, request: ClientRequest) -> None:
        """Note the key of a connection that is opened."""
        self.key = request.connection_key

    async def idle(self) -> Connection | None:
        """Return a connection that is open and clean, None where there is none."""
        return None if self.key is None else await self._get(self.key, [])

    async def _get(self, key: ConnectionKey, traces: list[Trace]) -> Connection | None:
        """Return a kept connection without unread bytes: what came without a request is no answer to the next one."""
        while (connection := await super()._get(key, traces)) is not None:
            protocol = connection.protocol
            if protocol is not None and not protocol.should_close:
                return connection
            connection.close()
        return None


async def exchange(connection: Connection, request: bytes, *, header_bytes: int) -> "ReusedReply":
    """Return the reply to a whole request, sent in one piece.

    Raises `HttpProcessingError` for an answer that is no HTTP, else `aiohttp.ClientError` or `OSError`; the connection
    is then closed.
    """
    try:
        protocol, transport = connection.protocol, connection.transport
        assert protocol is not None  # noqa: S101 - a kept connection is open
        assert transport is not None  # noqa: S101 - as above
        protocol.set_response_params(
            read_until_eof=True, auto_decompress=False, max_line_size=header_bytes, max_field_size=header_bytes
        )
        transport.write(request)
        message, payload = await protocol.read()
        while 100 <= message.code < 200 and message.code != 101:
            message, payload = await protocol.read()
    except BaseException:
        connection.close()
        raise
    return ReusedReply(connection, message, payload)


class ReusedReply:
    """Port `Reply`: the answer on a kept connection, which is free for the next request after the body's last byte."""

    def __init__(self, connection: Connection, message: RawResponseMessage, payload: StreamReader) -> None:
        self._connection = connection
        self._payload = joining(payload)
        self.status = message.code
        self.headers: Mapping[str, str] = message.headers
        self.raw_headers = message.raw_headers
        payload.on_eof(connection.release)

    def arrived(self) -> bytes | None:
        """Return the body if all of it is here."""
        payload = self._payload
        return payload.read_nowait() if payload.is_eof() and payload.exception() is None else None

    async def read(self) -> bytes:
        """Return the next bytes of the body, blank at its end. Raises `UpstreamFailure` where it ends too early."""
        try:
            return await self._payload.readany()
        except (aiohttp.ClientError, OSError) as exc:
            raise body_failure(exc) from exc

    async def aclose(self) -> None:
        """Close the connection unless it is free again already."""
        self._connection.close()


__all__ = ["LARGEST", "Heads", "HttpProcessingError", "ReusedReply", "ReusingConnector", "exchange"]
