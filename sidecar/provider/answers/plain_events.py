"""Fast way for what a stream mostly is: whole events, each one line of data, all checked in one call of C code.

Such events go on as they came. Whatever is anything else goes the long way, which knows every wrapping and error.
"""

from collections.abc import Sequence
from typing import Annotated, Final, Literal

import msgspec

from sidecar.core.ports import WRITTEN, Usage

PIECE_BYTES: Final = 16 * 1024
"""Bytes of events that go on together, at most, and of an event's beginning that waits for the rest here."""
_DATA: Final = b"data:"
_TIGHT: Final = b"data:{"
_BEFORE: Final = b"data: {"
_BETWEEN: Final = b"\n\ndata: "
_BORDER: Final = b"}\n\ndata: {"
_AFTER: Final = b"\n\n"
_DONE: Final = b"data: [DONE]\n\n"
_Count = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]


class _Delta(msgspec.Struct, gc=False):
    error: None = None


class _Choice(msgspec.Struct, gc=False):
    delta: _Delta
    finish_reason: Literal["stop", "length", "tool_calls", "content_filter", "function_call"] | None = None
    error: None = None
    message: None = None


class _Usage(msgspec.Struct, gc=False):
    prompt_tokens: _Count
    completion_tokens: _Count


class _Event(msgspec.Struct, gc=False):
    """An event that asks for nothing but its counts; every field that could say more has to be null."""

    choices: list[_Choice]
    usage: _Usage | None = None
    error: None = None
    base_resp: None = None
    x_groq: None = None


_events: Final = msgspec.json.Decoder(_Event).decode_lines


class Plain(msgspec.Struct):
    """Plain events that came together."""

    pieces: Sequence[bytes]
    """The events, as the port `Upstream` gives them."""
    rest: bytes
    """The beginning of one more event."""
    finished: bool
    """Flag: a choice came to its end."""
    done: bool
    """Flag: the stream did."""


def plain_events(chunk: bytes, usage: Usage) -> Plain | None:
    """Return the events of `chunk`, and take their counts into `usage`; None where any of it is not plain."""
    if b"\r" in chunk:
        chunk = chunk.replace(b"\r\n", b"\n")
    if chunk.startswith(_TIGHT):
        chunk = (_AFTER + chunk).replace(_AFTER + _TIGHT, _AFTER + _BEFORE)[len(_AFTER) :]
    end = chunk.rfind(_AFTER) + len(_AFTER)
    whole, rest = chunk[:end], chunk[end:]
    if len(rest) > PIECE_BYTES or not (rest.startswith(_DATA) or _DATA.startswith(rest)) or b"\r" in chunk:
        return None
    whole = whole[: -len(_DONE)] if (done := whole.endswith(_DONE)) else whole
    if not whole:
        return Plain((), rest, False, done) if chunk else None
    found = _checked(whole)
    if found is None:
        return None
    finished = False
    for event in found:
        for choice in event.choices:
            if choice.finish_reason is not None:
                finished = True
        if (counts := event.usage) is not None:
            usage.prompt_tokens = counts.prompt_tokens or usage.prompt_tokens
            usage.completion_tokens = counts.completion_tokens or usage.completion_tokens
    return Plain((whole,) if len(whole) <= PIECE_BYTES else _pieces(whole), rest, finished, done)


def _checked(whole: bytes) -> list[_Event] | None:
    """Return what is looked at of events, None where they are not plain."""
    if not whole.startswith(_BEFORE):
        return None
    lines = whole[len(WRITTEN) : -len(_AFTER)].replace(_BETWEEN, b"\n")
    try:
        found = _events(lines)
        if not lines.isascii():
            lines.decode()  # the decoder passes over text in fields that are not looked at
    except (ValueError, RecursionError):
        return None
    # The decoder takes several values in a line, and one over several lines. No value holds a brace that closes, a line
    # feed and a brace that opens: where all line feeds are such borders, each event is one value.
    count = len(found)
    return found if whole.count(_BORDER) == count - 1 and whole.count(b"\n") == 2 * count else None


def _pieces(whole: bytes) -> list[bytes]:
    """Cut many events into pieces of at most `PIECE_BYTES`; a longer event is data of its own."""
    pieces, at = [], 0
    while at < len(whole):
        end = whole.rfind(_AFTER, at, at + PIECE_BYTES)
        if end < 0:
            end = whole.find(_AFTER, at)
            pieces.append(whole[at + len(WRITTEN) : end])
        else:
            pieces.append(whole[at : end + len(_AFTER)])
        at = end + len(_AFTER)
    return pieces
