"""Redaction of providers' messages: a short quote without keys, links and text that a user wrote.

A provider's error may quote the key or the prompt; an error's sentence reaches browsers and logs.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, Final

from sidecar.core.errors import plain
from sidecar.core.ports import Call
from sidecar.core.raw_json import TooMuch, opened

_LIMIT: Final = 120
_SHARED: Final = 24
"""Length of a run of characters that a quote may not share with a user's text."""
_SHORTEST: Final = 4
"""Length from which a user's shorter text may not occur whole in a quote."""
_OPENED: Final = 16 * 2**20
"""Bytes of memory that one raw text may take once it is decoded to be compared."""
_SECRET_PIECE: Final = 8
"""Length of a run of characters that a quote may not share with a secret."""
_LIKE_A_KEY: Final = re.compile(
    r"(?i:bearer|basic)\s+\S+"
    r"|\b(?:sk|pk|rk|key|org|proj|user|req)[-_][\w*.-]{4,}"
    r"|\S*(?:\*{2,}|…|\.{3})\S*"  # masked: sk-ab****wxyz
    r"|\b[a-z]+://\S+"
    r"|(?i:\b[\w-]*(?:key|token|secret|password)['\"]?\s*[=:]\s*\S+)"
    r"|\b(?=[\w+/=-]*\d)(?=[\w+/=-]*[A-Za-z])[\w+/=-]{20,}"
)


def quoted(message: str, call: Call, secrets: tuple[str, ...] = ()) -> str:
    """Return up to 120 characters of a provider's message; empty if they repeat a secret or the call's own text."""
    words = " ".join(message[: _LIMIT * 8].split())
    if not words or _shows(words, secrets) or _repeats(words, call):
        return ""
    return plain(_LIKE_A_KEY.sub("[…]", words), _LIMIT)


def _shows(words: str, secrets: tuple[str, ...]) -> bool:
    for secret in secrets:
        size = min(_SECRET_PIECE, len(secret))
        if any(secret[start : start + size] in words for start in range(len(secret) - size + 1)):
            return True
    return False


def copies(words: str, call: Call) -> bool:
    """Return whether the words share a run of `_SHARED` characters with any text of the call."""
    return _repeats(words, call, shortest=_SHARED)


def _repeats(words: str, call: Call, *, shortest: int = _SHORTEST) -> bool:
    """Return whether the words share such a run, or hold a text of at least `shortest` characters whole."""
    words = " ".join(words.split()).casefold()
    try:
        return _any_repeats(words, chain(_contents(call), _texts(call.extra)), shortest)
    except TooMuch:
        return True  # unknown, so nothing is quoted


def _any_repeats(words: str, texts: Iterable[str], shortest: int) -> bool:
    half = _SHARED // 2
    # A shared run covers one of these pieces whole wherever it starts: a few searches in a long text, not hundreds.
    pieces = [words[start : start + half] for start in range(0, len(words) - half + 1, half)]
    runs = range(len(words) - _SHARED + 1)
    for text in texts:
        flat = " ".join(text.split()).casefold()
        if len(flat) < _SHARED:
            if len(flat) >= shortest and flat in words:
                return True
        elif any(piece in flat for piece in pieces) and any(words[at : at + _SHARED] in flat for at in runs):
            return True
    return False


def _contents(call: Call) -> Iterator[str]:
    """Yield the texts of the messages, without roles and types, which any error may name."""
    for message in call.messages:
        content = opened(message.get("content"), _OPENED)
        for part in content if isinstance(content, list | tuple) else (content,):
            text = part.get("text") if isinstance(part, dict) else part
            if isinstance(text, str):
                yield text


def _texts(value: Any) -> Iterator[str]:
    value = opened(value, _OPENED)
    if isinstance(value, str):
        if len(value) >= _SHARED:
            yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)
