"""JSON of provider calls: a request's body to bytes, and a provider's bytes to values.

Free of I/O and heavy imports, because the one-shot process pays for every import.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from sidecar.core.raw_json import RawMessages

STEP: Final = 64 * 1024
"""Bytes of a large body that are given to a connection at a time, without a copy of the rest."""

_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder()


class Pieces:
    """Large body that is read once, step by step: what was read is let go, since a call outlasts its sending.

    Raw parts are views of the caller's own body, which would be in memory twice as a whole.
    """

    __slots__ = ("_parts", "_size")

    def __init__(self, parts: list[memoryview]) -> None:
        self._parts = parts[::-1]
        self._size = sum(len(part) for part in parts)

    def __len__(self) -> int:
        """Bytes of the whole body, read or not."""
        return self._size

    def __bytes__(self) -> bytes:
        """Return the bytes that were not read yet."""
        return b"".join(self._parts[::-1])

    def __iter__(self) -> Iterator[memoryview]:
        """Read the body in steps of at most `STEP` bytes."""
        while self._parts:
            part = self._parts.pop()
            for start in range(0, len(part), STEP):
                yield part[start : start + STEP]


Body = bytes | Pieces


_RAW: Final = (msgspec.Raw, RawMessages)


def body_of(fields: Mapping[str, Any]) -> Body:
    """Return the body of a request with these fields, as `encode` writes it; raw fields stay as they came."""
    if any(type(value) in _RAW for value in fields.values()):
        return _spliced(fields)
    body = encode(fields)
    return body if len(body) <= STEP else Pieces([memoryview(body)])


def _spliced(fields: Mapping[str, Any]) -> Pieces:
    parts: list[memoryview] = []
    before = b"{"
    for name, value in fields.items():
        before += encode(name) + b":"
        if type(value) in _RAW:
            parts += (memoryview(before), memoryview(value.raw if isinstance(value, RawMessages) else value))
            before = b","
        else:
            before += encode(value) + b","
    return Pieces([*parts, memoryview(before.removesuffix(b",") + b"}")])


def encode(value: Any) -> bytes:
    """Return JSON in UTF-8; halves of surrogate pairs become U+FFFD, because JSON parsers refuse them."""
    try:
        return _encoder.encode(value)
    except UnicodeEncodeError:
        import json  # noqa: PLC0415 - rare, and the one-shot process need not load it

        text = json.dumps(value, ensure_ascii=False, default=_decoder.decode)  # the default is for raw parts
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()


def strict(raw: bytes) -> Any:
    """Return the JSON value in `raw`. Raises `ValueError` or `RecursionError` for everything else."""
    return _decoder.decode(raw)


def decode(raw: bytes) -> Any:
    """Return the JSON value in `raw`, read as providers write it.

    NaN and infinities are null, halves of surrogate pairs stay, and `data: [DONE]` may follow. Raises `ValueError` or
    `RecursionError` for everything else.
    """
    try:
        return strict(raw)
    except ValueError:
        import json  # noqa: PLC0415 - as above

        text = raw.decode("utf-8-sig").strip()
        value, end = json.JSONDecoder(parse_constant=lambda _: None).raw_decode(text)
        rest = text[end:].lstrip()
        if rest and not rest.startswith("data:"):
            raise
        return value
