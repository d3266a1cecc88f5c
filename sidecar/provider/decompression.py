"""Unpacking, within a bound, of bodies that came compressed although the request named identity."""

import zlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

_PACKED: Final = ("gzip", "deflate")
_GZIP_START: Final = b"\x1f\x8b"
_GZIP_OR_ZLIB: Final = 32 + zlib.MAX_WBITS
"""Window bits for zlib: gzip or zlib format, by the first bytes."""
_RAW_DEFLATE: Final = -zlib.MAX_WBITS
"""Window bits for zlib: deflate without a header, as some servers send it."""
_PLAIN: Final = frozenset(bytes((first,)) for first in b"{[<deir: \t\r\n\xef")
"""First bytes of JSON, pages and events, whatever the headers name."""
_PIECE: Final = 64 * 2**10
"""Bytes unpacked at a time."""


class BrokenPackingError(ValueError):
    """Bytes that are no more what their beginning promised."""


def unpacked(body: bytes, headers: Mapping[str, str], limit: int) -> bytes:
    """Return the first `limit` bytes that `body` holds, or `body` itself where it is not packed.

    A packed body that was cut off gives its part up to the cut.
    """
    named = headers.get("content-encoding", "").lower()
    if not (body.startswith(_GZIP_START) or any(name in named for name in _PACKED)):
        return body
    return next(_unpack(body, limit), body)


def _unpack(body: bytes, limit: int) -> Iterator[bytes]:
    for bits in (_GZIP_OR_ZLIB, _RAW_DEFLATE):
        try:
            yield zlib.decompressobj(bits).decompress(body, limit)
        except zlib.error:
            continue


class Unpacker:
    """Unpacks a body piece by piece; a body that is not packed passes unchanged."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._deflate = "deflate" in headers.get("content-encoding", "").lower()
        self._start: bytes | None = b""
        """The first bytes until they tell the packing; None afterwards."""
        self._packing: Any = None

    @property
    def plain(self) -> bool:
        """Return whether the body is known to be not packed."""
        return self._start is None and self._packing is None

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield what `chunk` holds, at most 64 KiB at a time where it is packed. Raises `BrokenPackingError`."""
        if self._start is not None:
            chunk = self._start + chunk
            self._start = chunk
            if len(chunk) < len(_GZIP_START) and chunk in (b"", b"\x1f", b"x"):
                return
            self._start = None
            if (bits := self._bits(chunk)) is not None:
                self._packing = zlib.decompressobj(bits)
        if self._packing is None:
            yield chunk
            return
        try:
            while chunk:
                yield self._packing.decompress(chunk, _PIECE)
                chunk = self._packing.unconsumed_tail
        except zlib.error as exc:
            raise BrokenPackingError from exc

    def _bits(self, start: bytes) -> int | None:
        if start.startswith(_GZIP_START):
            return _GZIP_OR_ZLIB
        if not self._deflate or start[:1] in _PLAIN:
            return None
        zlib_header = start[0] & 0x0F == 8 and int.from_bytes(start[:2], "big") % 31 == 0
        return _GZIP_OR_ZLIB if zlib_header else _RAW_DEFLATE
