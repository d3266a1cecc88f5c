"""Unpack a refusal's body that came compressed although identity was asked for, within a bound."""

import zlib
from collections.abc import Iterator, Mapping
from typing import Final

_PACKED: Final = ("gzip", "deflate")
_GZIP_START: Final = b"\x1f\x8b"
_EITHER: Final = 32 + zlib.MAX_WBITS
"""For zlib: gzip or zlib, by the first bytes."""
_BARE: Final = -zlib.MAX_WBITS
"""For zlib: deflate without a head, as some servers send it."""


def unpacked(body: bytes, headers: Mapping[str, str], limit: int) -> bytes:
    """Return the first `limit` bytes that `body` holds, or `body` itself where it is not packed.

    A packed body that was cut off gives what came of it.
    """
    named = headers.get("content-encoding", "").lower()
    if not (body.startswith(_GZIP_START) or any(name in named for name in _PACKED)):
        return body
    return next(_tries(body, limit), body)


def _tries(body: bytes, limit: int) -> Iterator[bytes]:
    for bits in (_EITHER, _BARE):
        try:
            yield zlib.decompressobj(bits).decompress(body, limit)
        except zlib.error:
            continue
