"""HTTP/1.1 as a client that posts and reads one answer at a time: h11's parser over asyncio's streams.

Instead of http.client in threads: cancelling, deadlines and back-pressure come by themselves. connect.py opens the
connections. h11 refuses what some gateways send against RFC 9112: Transfer-Encoding twice or as `identity`, a space
before a header's colon, brackets in a header's name, NUL or form feed in a value, bare line feeds between chunks. The
server's client refuses the same but for Transfer-Encoding twice and form feeds.
"""

import asyncio
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import h11

MAX_HEAD_BYTES: Final = 64 * 2**10
"""The longest head that is waited for; the last piece read may exceed the bound."""
_PIECE: Final = 64 * 2**10
_BEGINS: Final = b"HTTP/1."

Headers = Sequence[tuple[str, str]]


class ProtocolError(Exception):
    """Bytes from the provider are no HTTP/1.1 answer."""


class Connection:
    """One connection to a provider or proxy."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.CLIENT, MAX_HEAD_BYTES)
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
        whole = self._http.our_state is h11.DONE and self._http.their_state is h11.DONE
        return whole and sent and not self._http.trailing_data[0] and self.open

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
        if self._http.our_state is h11.DONE:
            self._http.start_next_cycle()
        # Not drained: the body is in memory anyway, and a provider may answer before it has read all of it.
        self._writer.write(_request(self._http, method, target, headers, body))
        answer = await _head(self._http, self._read)
        fields = _merged(answer)
        if "transfer-encoding" in fields and "content-length" in fields:
            raise ProtocolError("two lengths")  # where one answer ends and the next begins is anybody's guess
        return answer.status_code, fields

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The body as it comes. Raises as `request` does."""
        while not isinstance(event := _event(self._http), h11.EndOfMessage):
            if isinstance(event, h11.Data):
                yield bytes(event.data)
            elif piece := await self._read():
                self._http.receive_data(piece)
            else:
                self._end()
                return

    async def _read(self) -> bytes:
        piece = await self._reader.read(_PIECE)
        self.begun = self.begun or bool(piece)
        return piece

    def _end(self) -> None:
        """Take the connection's end for the body's. Raises `EOFError` where the body has another end."""
        self._http.receive_data(b"")
        try:
            _event(self._http)
        except ProtocolError:
            raise EOFError from None


async def open_tunnel(sock: socket.socket, where: str, headers: Headers) -> int:
    """Have a proxy pass bytes on to `where` (RFC 9110, 9.3.6); return the answer's status.

    Raises as `Connection.request` does.

    On a bare socket, since TLS is to begin on it. Nothing follows the answer until the client speaks.
    """
    http = h11.Connection(h11.CLIENT, MAX_HEAD_BYTES)
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(sock, _request(http, "CONNECT", where, headers))
    answer = await _head(http, lambda: loop.sock_recv(sock, _PIECE))
    return answer.status_code


def _request(http: h11.Connection, method: str, target: str, headers: Headers, body: bytes = b"") -> bytes:
    lines = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    try:
        head = http.send(h11.Request(method=method, target=target, headers=lines))
    except h11.LocalProtocolError:
        raise ProtocolError("an address or a header that HTTP has no room for") from None  # h11's words quote the key
    return head + (http.send(h11.Data(data=body)) if body else b"") + http.send(h11.EndOfMessage())


async def _head(http: h11.Connection, read: Callable[[], Awaitable[bytes]]) -> h11.Response:
    """The head of the final answer, past 100 Continue and 103 Early Hints."""
    while not isinstance(event := _event(http), h11.Response):
        if event is not h11.NEED_DATA:
            continue
        piece = await read()
        if not piece:
            raise EOFError
        http.receive_data(piece)
        # h11 looks at whole heads only, and who speaks another protocol may wait for our next word for ever.
        if not _BEGINS.startswith(http.trailing_data[0][: len(_BEGINS)]):
            raise ProtocolError("no status line")
    return event


def _event(http: h11.Connection) -> Any:
    try:
        return http.next_event()
    except h11.RemoteProtocolError:
        raise ProtocolError("a head or a chunk that breaks the rules") from None  # h11's words quote what came


def _merged(answer: h11.Response) -> Mapping[str, str]:
    fields: dict[str, str] = {}
    for raw_name, raw_value in answer.headers:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return fields


def _silent(reader: asyncio.StreamReader) -> bool:
    """Return True if nothing waits to be read, neither bytes nor the end; a byte that waits is lost."""
    read = reader.read(1)
    try:
        read.send(None)  # one step: it ends where something is there, and begins to wait where nothing is
    except (StopIteration, OSError):
        return False
    read.close()
    return True
