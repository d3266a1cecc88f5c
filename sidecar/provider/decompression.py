"""Unpacking, within a bound, of a refusal's body that came compressed although the request named identity."""

import zlib
from collections.abc import Iterator, Mapping
from typing import Final

_PACKED: Final = ("gzip", "deflate")
_GZIP_START: Final = b"\x1f\x8b"
_GZIP_OR_ZLIB: Final = 32 + zlib.MAX_WBITS
"""Window bits for zlib: gzip or zlib format, by the first bytes."""
_RAW_DEFLATE: Final = -zlib.MAX_WBITS
"""Window bits for zlib: deflate without a header, as some servers send it."""


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
