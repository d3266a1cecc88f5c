"""A light caller: exact bytes out, a whole reply in. No library of the tests, so that benchmarks can use it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple

PATIENCE = 30.0
"""Seconds after which a caller was left without a reply."""


class LostError(Exception):
    """A whole request got no whole reply."""


class Reply(NamedTuple):
    """One response."""

    status: int
    body: bytes

    @property
    def code(self) -> str:
        """`ok`, the error's code, or the status; `lost` for a body that is no JSON."""
        if self.status == 202:
            return "ok"
        try:
            found: Any = json.loads(self.body)
        except ValueError:
            raise LostError(f"status {self.status} without JSON") from None
        if not isinstance(found, dict):
            raise LostError(f"status {self.status} with a strange body")
        error = found.get("error")
        code = found.get("code") or (error.get("code") if isinstance(error, dict) else None)
        return str(code or ("ok" if self.status < 300 else self.status))


class Wire(NamedTuple):
    """A connection of a caller."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        """Send; a server that has answered and closed early is no fault."""
        self.writer.write(data)
        with suppress(ConnectionError):
            await self.writer.drain()

    async def reply(self) -> Reply:
        """Return the next reply with a length, or in chunks up to the end of the connection."""
        try:
            async with asyncio.timeout(PATIENCE):
                head = await self.reader.readuntil(b"\r\n\r\n")
                fields = dict(line.lower().partition(b":")[::2] for line in head.split(b"\r\n")[1:])
                if (length := fields.get(b"content-length")) is None:
                    return Reply(int(head.split(b" ")[1]), await self.reader.read())
                return Reply(int(head.split(b" ")[1]), await self.reader.readexactly(int(length)))
        except (OSError, EOFError, TimeoutError) as exc:
            raise LostError(type(exc).__name__) from exc

    def abort(self) -> None:
        """Leave at once, as a browser that is closed."""
        self.writer.transport.abort()


class Address(NamedTuple):
    """A server's address."""

    host: str
    port: int

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Wire]:
        try:
            wire = Wire(*await asyncio.open_connection(self.host, self.port, limit=2**22))
        except OSError as exc:
            raise LostError("no connection") from exc
        try:
            yield wire
        finally:
            wire.writer.close()
            with suppress(ConnectionError):
                await wire.writer.wait_closed()

    async def fetch(self, raw: bytes) -> Reply:
        """Return the reply to a request on a new connection."""
        async with self.connected() as wire:
            await wire.send(raw)
            return await wire.reply()

    async def get(self, path: str, *headers: str) -> Reply:
        return await self.fetch(request("GET", path, "Connection: close", *headers))


def request(method: str, path: str, *headers: str) -> bytes:
    """Return a request line and headers, complete."""
    return "\r\n".join((f"{method} {path} HTTP/1.1", "Host: localhost", *headers, "", "")).encode()


def post(path: str, value: object, *headers: str) -> bytes:
    """Return a whole POST request."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    lines = ("Content-Type: application/json", f"Content-Length: {len(body)}", *headers)
    return request("POST", path, *lines) + body
