"""What a caller said on one connection, as the requests in it: so that each reply is known by method and path."""

import re
from typing import NamedTuple

_LINE = re.compile(rb"([A-Z]+) (\S+) HTTP/1\.[01]\r\n")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d{1,12}) *\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked *\r\n", re.IGNORECASE)
_CHUNK = re.compile(rb"([0-9a-fA-F]{1,8})\r\n")


class Said(NamedTuple):
    """One request; without a method where it is no HTTP."""

    method: str
    path: str


class SaidRequests:
    """The requests of one connection, in order. Bytes behind what is no HTTP are forgotten."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._owed = 0
        """Bytes of the last body that were announced and are still to be said."""
        self._lost = False

    def add(self, data: bytes) -> None:
        """Note what is said."""
        if self._lost:
            return
        body = min(self._owed, len(data))
        self._owed -= body
        self._bytes += data[body:]

    def next(self) -> Said:
        """Return the request that the next reply is for."""
        text = bytes(self._bytes).lstrip(b"\r\n")
        head, end, rest = text.partition(b"\r\n\r\n")
        line = _LINE.match(head + b"\r\n")
        words = text.partition(b"\r\n")[0].split(b" ", 2)
        path = words[1].partition(b"?")[0].decode("latin-1") if len(words) > 1 else ""
        if line is None or not end:
            self._lost = True
            return Said("", path)
        self._skip_body(head + b"\r\n", rest)
        return Said(line[1].decode(), path)

    def _skip_body(self, head: bytes, rest: bytes) -> None:
        if _CHUNKED.search(head):
            self._lost = (after := _after_chunks(rest)) is None
            self._bytes = bytearray(after or b"")
            return
        length = int(found[1]) if (found := _LENGTH.search(head)) else 0
        self._owed = max(0, length - len(rest))
        self._bytes = bytearray(rest[length:])


def _after_chunks(rest: bytes) -> bytes | None:
    while found := _CHUNK.match(rest):
        size = int(found[1], 16)
        rest = rest[found.end() + size + 2 :]
        if not size:
            return rest
    return None
