"""HTTP/1.1 as a client that posts and reads one answer at a time, over asyncio's streams.

Instead of http.client in threads: nothing more to import for a process that has asyncio, and cancelling, deadlines
and back-pressure come by themselves. Source: RFC 9112. Where connections come from is dial.py's business.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Final

MAX_HEAD_BYTES: Final = 64 * 2**10
_PIECE: Final = 64 * 2**10


class ProtocolError(Exception):
    """What came is no HTTP/1.1 answer."""


class Connection:
    """One connection to a provider or proxy."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.begun = False
        """Whether the first byte of the current answer came."""
        self.reused = False
        self.idle_since = 0.0
        """When it was last given back, in seconds of the loop's clock."""
        self._whole = False
        self._keep = False
        self._headers: Mapping[str, str] = {}

    @property
    def open(self) -> bool:
        """Whether the other side has not closed it, as far as known without waiting."""
        return not (self._reader.at_eof() or self._writer.is_closing() or self._reader.exception())

    @property
    def reusable(self) -> bool:
        """Whether the last answer was read to its end and both sides want to go on."""
        sent = not self._writer.transport.get_write_buffer_size()  # an early answer may leave a body half sent
        return self._whole and self._keep and sent and self.open

    def abort(self) -> None:
        """Close at once, whatever is unsent."""
        self._writer.transport.abort()

    async def ask(self, request: bytes) -> tuple[int, Mapping[str, str]]:
        """Send a whole request; the answer's status and headers, names in lower case.

        Raises `EOFError` or `OSError` where the connection ends first, `ProtocolError` for what is no HTTP.
        """
        self.begun = self._whole = self._keep = False
        # Not drained: the body is in memory anyway, and a provider may answer before it has read all of it.
        self._writer.write(request)
        status, version = 100, b""
        while 100 <= status < 200:  # 100 Continue, 103 Early Hints
            version, status = await self._status()
            self._headers = await self._fields()
        if status in (204, 304):
            self._headers = {**self._headers, "content-length": "0"}
        said = self._headers.get("connection", "").lower()
        self._keep = version == b"HTTP/1.1" and "close" not in said
        return status, self._headers

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The body as it comes. Raises as `ask` does."""
        if "chunked" in self._headers.get("transfer-encoding", "").lower():
            async for piece in self._chunked():
                yield piece
        elif (length := self._headers.get("content-length")) is not None:
            async for piece in self._sized(_number(length, 10)):
                yield piece
        else:
            self._keep = False
            while piece := await self._reader.read(_PIECE):
                yield piece
        self._whole = True

    async def _sized(self, left: int) -> AsyncGenerator[bytes, None]:
        while left:
            piece = await self._reader.read(min(left, _PIECE))
            if not piece:
                raise EOFError
            left -= len(piece)
            yield piece

    async def _chunked(self) -> AsyncGenerator[bytes, None]:
        while size := _number((await self._line()).partition(b";")[0].strip().decode("latin-1"), 16):
            async for piece in self._sized(size):
                yield piece
            if await self._line():
                raise ProtocolError("a chunk is longer than it says")
        await self._fields()  # trailers

    async def _status(self) -> tuple[bytes, int]:
        line = await self._line()
        version, _, rest = line.partition(b" ")
        code = rest[:3]
        if not (version.startswith(b"HTTP/1.") and len(code) == 3 and code.isdigit() and rest[3:4] in (b"", b" ")):
            raise ProtocolError("no status line")
        return version, int(code)

    async def _fields(self) -> Mapping[str, str]:
        fields: dict[str, str] = {}
        size = 0
        while line := await self._line():
            size += len(line)
            name, colon, value = line.decode("latin-1").partition(":")
            if size > MAX_HEAD_BYTES or not colon:
                raise ProtocolError("headers too long or broken")
            name, value = name.strip().lower(), value.strip()
            fields[name] = f"{fields[name]}, {value}" if name in fields else value
        return fields

    async def _line(self) -> bytes:
        try:
            line = await self._reader.readline()
        except ValueError as exc:  # longer than the reader's limit
            raise ProtocolError("a line is too long") from exc
        self.begun = self.begun or bool(line)
        if not line.endswith(b"\n"):
            raise EOFError
        return line.rstrip(b"\r\n")


def _number(text: str, base: int) -> int:
    try:
        if text.isalnum():  # int() takes signs and underscores too
            return int(text, base)
    except ValueError:
        pass
    raise ProtocolError("a length that is no number")
