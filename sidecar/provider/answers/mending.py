"""Text of large answers that providers write and JSON does not have, mended before it is read, and names for PHP.

NaN and infinities become null, halves of surrogate pairs U+FFFD. Small answers are read as they are by Python's own
parser, which would hold up every thread for seconds over a large one.
"""

import re
from collections.abc import Iterator
from typing import Final

from sidecar.core.raw_json import found

_STEP: Final = 128 * 1024
_PAIR_BYTES: Final = 12
_PAIR: Final = rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_HALF: Final = re.compile(rb"((?:%s|\\u(?![dD][89a-fA-F])|\\[^u])++)|\\u[dD][89a-fA-F][0-9a-fA-F]{2}" % _PAIR)
_NUL: Final = re.compile(rb"((?:\\u(?!0000)|\\[^u])++)|\\u0000")
_CONSTANT: Final = re.compile(rb"NaN|-?Infinity")
_ALIGNED: Final = re.compile(rb"(?s:(?:[^\\]{1,128}+|%s|\\u[0-9a-fA-F]{4}|\\.){0,1024}+)" % _PAIR)
_ESCAPE: Final = re.compile(rb"(?s:\\.)")


def without_nul(text: bytes) -> bytes:
    r"""Return JSON whose strings and names lose each `\u0000`: PHP's parser stops at a name that begins with one."""
    return b"".join(_NUL.sub(rb"\1", piece) if b"\\u0000" in piece else piece for piece in _pieces(text))


def mended(text: bytes) -> bytes:
    """Return the text with null for each constant that JSON does not have, and U+FFFD for each half of a pair."""
    if found(b"NaN", text) or found(b"Infinity", text):
        text = b"".join(_without_constants(text))
    if found(b"\\ud", text) or found(b"\\uD", text):
        text = b"".join(_HALF.sub(_whole, piece) if b"\\u" in piece else piece for piece in _pieces(text))
    return text


def _whole(escapes: re.Match[bytes]) -> bytes:
    return escapes[1] or b"\\ufffd"


def _without_constants(text: bytes) -> Iterator[bytes]:
    inside = False  # a string
    for piece in _pieces(text):
        if b"NaN" not in piece and b"Infinity" not in piece:
            inside ^= _quotes(piece)
            yield piece
            continue
        parts: list[bytes] = []
        begin = 0
        for constant in _CONSTANT.finditer(piece):
            before = piece[begin : constant.start()]
            inside ^= _quotes(before)
            parts += (before, constant[0] if inside else b"null")
            begin = constant.end()
        inside ^= _quotes(piece[begin:])
        yield b"".join((*parts, piece[begin:]))


def _quotes(text: bytes) -> bool:
    """Return whether strings begin or end in the text an odd number of times."""
    return bool((_ESCAPE.sub(b"", text) if b"\\" in text else text).count(b'"') % 2)


def _pieces(text: bytes) -> Iterator[bytes]:
    """Yield the text in pieces that end behind a comma where possible, and never amid an escape, pair or constant."""
    at = 0
    while at < len(text):
        end = text.rfind(b",", at, at + _STEP) + 1 or at + _STEP
        if b"\\" in text[max(at, end - _PAIR_BYTES) : end] and (run := _ALIGNED.match(text, at)) is not None:
            end = max(run.end(), at + 1)
        while end < at + 2 * _STEP and text[end - 1 : end + 1].replace(b"-", b"a").isalpha():
            end += 1
        yield text[at:end]
        at = end
