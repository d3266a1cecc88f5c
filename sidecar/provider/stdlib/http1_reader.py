"""HTTP/1.1 answers from bytes: heads, bodies in their three framings, and what counts as none (RFC 9112).

Plain functions without I/O. A parser of our own, since h11 takes a fifth of a one-shot process to load; a test compares
the two on answers of every kind. What some gateways send against RFC 9112 is refused: Transfer-Encoding twice or as
`identity`, a space before a header's colon, brackets in a header's name, NUL or form feed in a value, bare line feeds
between chunks. The server's client refuses the same but for Transfer-Encoding twice and form feeds.
"""

from collections.abc import Iterable, Mapping
from typing import Final

_BEGINS: Final = b"HTTP/1."
_TOKEN: Final = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_NEVER: Final = b"\0\n\v\f\r"
"""Characters that neither a value nor a reason may have."""
_BLANK: Final = b" \t"
_DIGITS: Final = b"0123456789"
_HEX: Final = b"0123456789abcdefABCDEF"
_MOST_DIGITS: Final = 20
_MOST_INTERIM: Final = 64
"""Answers of status 100 and the like before the final one."""
_BODILESS: Final = frozenset({204, 304})


class ProtocolError(Exception):
    """Bytes from the provider are no HTTP/1.1 answer."""


class Head:
    """Status and headers of an answer; names in lower case, values of the same name joined by commas."""

    __slots__ = ("fields", "goes_on", "status")

    def __init__(self, status: int, fields: Mapping[str, str], *, goes_on: bool) -> None:
        self.status = status
        self.fields = fields
        self.goes_on = goes_on
        """True if the other side keeps the connection open after the answer."""


class AnswerReader:
    """Reader of one answer, fed with bytes as they come.

    Whatever it waits for, it raises `ProtocolError` once more than `longest` bytes are there.
    """

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._buffer = bytearray()
        self._searched = 0
        self._left: int | None = 0
        """Bytes left of the body or the chunk; None for a body that ends with the connection."""
        self._chunked = self._footer = self._trailers = False
        self._goes_on = False
        self._interim = 0
        self.over = False
        """True once the answer was read to its end."""

    @property
    def clean(self) -> bool:
        """True if the answer is over, nothing came behind it, and the other side goes on."""
        return self.over and not self._buffer and self._goes_on

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        self._buffer += data

    def head(self) -> Head | None:
        """Return the head of the final answer, past 100 Continue and 103 Early Hints; None where bytes are missing."""
        while True:
            # A head is looked at as a whole only, and who speaks another protocol may wait for our next word for ever.
            if not _BEGINS.startswith(self._buffer[: len(_BEGINS)]):
                raise ProtocolError("no status line")
            if (lines := self._lines()) is None:
                return None
            head = _head(lines)
            if head.status >= 200:
                self._goes_on = head.goes_on
                self._frame(head)
                return head
            if head.status < 100 or head.status == 101:  # nobody asked for another protocol
                raise ProtocolError("a status out of place")
            self._interim += 1
            if self._interim > _MOST_INTERIM:
                raise ProtocolError("no end of interim answers")

    def _frame(self, head: Head) -> None:
        length = head.fields.get("content-length")
        if head.status in _BODILESS:
            self._left = 0
        elif "transfer-encoding" in head.fields:
            self._chunked = True
        else:
            self._left = None if length is None else int(length)
        self.over = self._left == 0 and not self._chunked

    def body(self) -> bytes:
        """Return bytes of the body that are there; blank where bytes are missing, or once `over` is true."""
        if self.over:
            return b""
        if self._left is None:
            return self._taken(len(self._buffer))
        if self._chunked and not self._next_chunk():
            return b""
        found = self._taken(self._left)
        self._left -= len(found)
        self._footer = self._chunked and not self._left
        self.over = not self._left and not self._chunked
        return found

    def end(self) -> None:
        """Take the connection's end for the body's. Raises `EOFError` where the body has another end."""
        if self._left is not None:
            raise EOFError
        self.over, self._goes_on = True, False

    def _next_chunk(self) -> bool:
        """Return whether bytes of a chunk are to come next; a footer, header or trailer is read on the way."""
        if self._trailers:
            return self._read_trailers()
        if self._footer:
            if not b"\r\n".startswith(self._buffer[:2]):
                raise ProtocolError("a chunk that breaks the rules")
            if len(self._buffer) < 2:
                return False
            del self._buffer[:2]
            self._footer = False
        if not self._left:
            at = self._buffer.find(b"\r\n")
            if at < 0:
                return self._wait()
            self._left = _chunk_size(self._taken(at + 2)[:-2])
            if not self._left:
                self._trailers = True
                return self._read_trailers()
        return True

    def _read_trailers(self) -> bool:
        if self._buffer[:1] == b"\n" or self._buffer[:2] == b"\r\n":
            self._taken(self._buffer.index(b"\n") + 1)
            self.over = True
        elif (lines := self._lines()) is not None:
            _fields(lines)
            self.over = True
        return False

    def _lines(self) -> list[bytes] | None:
        """Return the lines up to a blank one; None where it is missing."""
        ends = []
        if (at := self._buffer.find(b"\n\r\n", self._searched)) >= 0:
            ends.append(at + 3)
        if (at := self._buffer.find(b"\n\n", self._searched, at + 1 if at >= 0 else len(self._buffer))) >= 0:
            ends.append(at + 2)
        if not ends:
            self._searched = max(0, len(self._buffer) - 2)
            self._wait()
            return None
        self._searched = 0
        return [line.removesuffix(b"\r") for line in self._taken(min(ends)).split(b"\n")[:-2]]

    def _wait(self) -> bool:
        if len(self._buffer) > self._longest:
            raise ProtocolError("a line without an end")
        return False

    def _taken(self, count: int) -> bytes:
        found = bytes(self._buffer[:count])
        del self._buffer[:count]
        return found


def request_bytes(method: str, target: str, headers: Iterable[tuple[str, str]], body: bytes = b"") -> bytes:
    """Return a whole request. Raises `ProtocolError` for an address or a header that HTTP has no room for."""
    lines = [f"{method} {target} HTTP/1.1".encode("latin-1")]
    good = bool(target) and all("!" <= sign <= "~" for sign in target)
    for name, value in headers:
        raw = value.encode("latin-1")
        good = good and _is_name(name.encode("latin-1")) and _is_value(raw) and raw == raw.strip(_BLANK)
        lines.append(b"%b: %b" % (name.encode("latin-1"), raw))
    if not good:
        raise ProtocolError("an address or a header that HTTP has no room for")  # not quoted: it may hold the key
    return b"\r\n".join((*lines, b"", body))


def _head(lines: list[bytes]) -> Head:
    version, _, rest = lines[0].partition(b" ")
    code, reason = rest[:3], rest[3:]
    digits = version.removeprefix(_BEGINS) + code
    if len(digits) != 4 or digits.strip(_DIGITS) or reason[:1] not in {b"", b" "} or not _is_value(reason):
        raise ProtocolError("no status line")
    fields = _fields(lines[1:])
    closes = {word.strip() for word in fields.get("connection", "").lower().split(",")}
    return Head(int(code), fields, goes_on=version != b"HTTP/1.0" and "close" not in closes)


def _fields(lines: Iterable[bytes]) -> Mapping[str, str]:
    fields: dict[str, str] = {}
    for line in _unfolded(lines):
        raw_name, colon, raw_value = line.partition(b":")
        if not (colon and _is_name(raw_name) and _is_value(raw_value)):
            raise ProtocolError("a header that breaks the rules")
        name, value = raw_name.decode("latin-1").lower(), raw_value.strip(_BLANK).decode("latin-1")
        if name == "content-length":
            value = _length(value)
            if fields.get(name, value) != value:
                raise ProtocolError("two lengths")
        elif name == "transfer-encoding":
            value = value.lower()
            if value != "chunked" or name in fields:
                raise ProtocolError("a coding that HTTP/1.1 clients need not know")
        elif name in fields:
            value = f"{fields[name]}, {value}"
        fields[name] = value
    return fields


def _unfolded(lines: Iterable[bytes]) -> Iterable[bytes]:
    """Yield header lines, each with the lines that go on with it (RFC 9112, 5.2)."""
    whole: bytes | None = None
    for line in lines:
        if line[:1] not in {b" ", b"\t"}:
            if whole is not None:
                yield whole
            whole = line
        elif whole is None:
            raise ProtocolError("a header that breaks the rules")
        else:
            whole += b" " + line.lstrip(_BLANK)
    if whole is not None:
        yield whole


def _length(value: str) -> str:
    """Return the one length that a Content-Length names, maybe several times."""
    lengths = {length.strip() for length in value.split(",")}
    length = lengths.pop()
    if lengths or not (length.isascii() and length.isdecimal() and len(length) <= _MOST_DIGITS):
        raise ProtocolError("a length that is no number")
    return length


def _chunk_size(line: bytes) -> int:
    size, extension, rest = line.partition(b";")
    size = size if extension else size.rstrip(_BLANK)
    if not 1 <= len(size) <= _MOST_DIGITS or size.translate(None, _HEX) or b"\n" in rest:
        raise ProtocolError("a chunk that breaks the rules")
    return int(size, 16)


def _is_name(name: bytes) -> bool:
    return bool(name) and not name.translate(None, _TOKEN)


def _is_value(value: bytes) -> bool:
    return len(value.translate(None, _NEVER)) == len(value)
