"""HTTP/1.1 as a client that posts and reads one answer at a time, over asyncio's streams.

Instead of http.client in threads: cancelling, deadlines and back-pressure come by themselves. connect.py opens the
connections, http1_reader.py reads the answers.
"""

import asyncio
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Final

from sidecar.provider.stdlib.http1_reader import AnswerReader, Head, ProtocolError, request_bytes

MAX_HEAD_BYTES: Final = 64 * 2**10
"""The longest head that is waited for; the last piece read may exceed the bound."""
_PIECE: Final = 64 * 2**10

Headers = Sequence[tuple[str, str]]


class Connection:
    """One connection to a provider or proxy."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._answer = AnswerReader(MAX_HEAD_BYTES)
        self.begun = False
        """True once the first byte of the current answer came."""
        self.reused = False
        self.idle_since = 0.0
        """Point on the loop's clock, in seconds, at which the connection was last given back."""

    @property
    def open(self) -> bool:
        """True while nothing came from the other side since the last answer, as far as known without waiting.

        A 408 that a provider sends before it closes an idle connection would be read as the next answer.
        """
        return not self._writer.is_closing() and _silent(self._reader)

    @property
    def reusable(self) -> bool:
        """True if the last answer was read to its end, nothing came behind it, and both sides want to go on."""
        sent = not self._writer.transport.get_write_buffer_size()  # an early answer may leave a body half sent
        return self._answer.clean and sent and self.open

    def abort(self) -> None:
        """Close at once, whatever is unsent."""
        self._writer.transport.abort()

    async def request(
        self, method: str, target: str, headers: Headers, body: bytes = b""
    ) -> tuple[int, Mapping[str, str]]:
        """Send a whole request; the answer's status and headers, names in lower case.

        Raises `EOFError` or `OSError` where the connection ends first, `ProtocolError` for what is no HTTP.
        """
        self.begun = False
        self._answer = AnswerReader(MAX_HEAD_BYTES)
        # Not drained: the body is in memory anyway, and a provider may answer before it has read all of it.
        self._writer.write(request_bytes(method, target, headers, body))
        head = await _head(self._answer, self._read)
        if "transfer-encoding" in head.fields and "content-length" in head.fields:
            raise ProtocolError("two lengths")  # where one answer ends and the next begins is anybody's guess
        return head.status, head.fields

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The body as it comes. Raises as `request` does."""
        while True:
            while data := self._answer.body():
                yield data
            if self._answer.over:
                return
            if piece := await self._read():
                self._answer.feed(piece)
            else:
                self._answer.end()

    async def _read(self) -> bytes:
        piece = await self._reader.read(_PIECE)
        self.begun = self.begun or bool(piece)
        return piece


async def open_tunnel(sock: socket.socket, where: str, headers: Headers) -> int:
    """Have a proxy pass bytes on to `where` (RFC 9110, 9.3.6); return the answer's status.

    Raises as `Connection.request` does.

    On a bare socket, since TLS is to begin on it. Nothing follows the answer until the client speaks.
    """
    answer, loop = AnswerReader(MAX_HEAD_BYTES), asyncio.get_running_loop()
    await loop.sock_sendall(sock, request_bytes("CONNECT", where, headers))
    return (await _head(answer, lambda: loop.sock_recv(sock, _PIECE))).status


async def _head(answer: AnswerReader, read: Callable[[], Awaitable[bytes]]) -> Head:
    while (head := answer.head()) is None:
        if not (piece := await read()):
            raise EOFError
        answer.feed(piece)
    return head


def _silent(reader: asyncio.StreamReader) -> bool:
    """Return True if nothing waits to be read, neither bytes nor the end; a byte that waits is lost."""
    read = reader.read(1)
    try:
        read.send(None)  # one step: it ends where something is there, and begins to wait where nothing is
    except (StopIteration, OSError):
        return False
    read.close()
    return True
