"""Texts of megabytes, worked on in pieces: one call of C code over 16 MiB holds up every thread for 10 to 50 ms."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

PIECE: Final = 128 * 1024
"""Characters of a piece: a third of a millisecond in a parser, and as much as is worth a thread."""

_encoder: Final = msgspec.json.Encoder()


def pieces(text: str, begin: int = 0, end: int | None = None) -> Iterator[str]:
    """Yield the text in pieces."""
    end = len(text) if end is None else end
    for at in range(begin, end, PIECE):
        yield text[at : min(at + PIECE, end)]


def place_of(sign: str, text: str, begin: int = 0) -> int:
    """Return the first place of `sign` from `begin` on; -1 for none."""
    for at in range(begin, len(text), PIECE):
        if (place := text.find(sign, at, at + PIECE + len(sign) - 1)) >= 0:
            return place
    return -1


def part(text: str, begin: int, end: int) -> str:
    """Return the text from `begin` to `end`."""
    if end - begin <= PIECE:
        return text[begin:end]
    return "".join(pieces(text, begin, end))


def bounds(text: str, begin: int = 0) -> tuple[int, int]:
    """Return where the text begins and ends without the white space around it, from `begin` on."""
    end = len(text)
    while begin < end and (head := text[begin : begin + PIECE])[0].isspace():
        begin += len(head) - len(head.lstrip())
    while begin < end and (tail := text[max(begin, end - PIECE) : end])[-1].isspace():
        end -= len(tail) - len(tail.rstrip())
    return begin, end


def replaced(text: str, old: str, new: str) -> str:
    """Return the text with `new` for each `old`, which is one character."""
    if len(text) <= PIECE:
        return text.replace(old, new)
    return "".join(piece.replace(old, new) for piece in pieces(text))


def json_of(text: str) -> msgspec.Raw:
    """Return the text in JSON. Raises `UnicodeEncodeError` for half of a surrogate pair."""
    whole = bytearray()
    add_json(whole, text)
    return msgspec.Raw(whole)


def add_json(whole: bytearray, text: str) -> None:
    """Add the text in JSON to what is there. Raises as `json_of`."""
    whole += b'"'
    for piece in pieces(text):
        whole += memoryview(_encoder.encode(piece))[1:-1]
    whole += b'"'


def encodable(value: Any) -> Any:
    """Return the value with its long texts in JSON already."""
    kind = type(value)
    if kind is str:
        return value if len(value) <= PIECE else json_of(value)
    if kind is dict:
        return {name: encodable(item) for name, item in value.items()}
    if kind is list:
        return [encodable(item) for item in value]
    return value
