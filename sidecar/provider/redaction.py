"""What of a provider's words may be shown: a short piece without keys, links and anything a user wrote.

A provider's error may quote the key or the prompt; an error's sentence reaches browsers and logs.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

from sidecar.core.errors import plain
from sidecar.core.ports import Call

_LIMIT: Final = 120
_SHARED: Final = 24
"""Characters in a row that a quote may not share with a user's text."""
_TELLING: Final = 4
"""Characters from which on a shorter text of a user may not stand in a quote as a whole."""
_SECRET_PIECE: Final = 8
"""Characters in a row that a quote may not share with a secret."""
_KEYISH: Final = re.compile(
    r"(?i:bearer|basic)\s+\S+"
    r"|\b(?:sk|pk|rk|key|org|proj|user|req)[-_][\w*.-]{4,}"
    r"|\S*(?:\*{2,}|…|\.{3})\S*"  # masked: sk-ab****wxyz
    r"|\b[a-z]+://\S+"
    r"|(?i:\b[\w-]*(?:key|token|secret|password)['\"]?\s*[=:]\s*\S+)"
    r"|\b(?=[\w+/=-]*\d)(?=[\w+/=-]*[A-Za-z])[\w+/=-]{20,}"
)


def quoted(message: str, call: Call, secrets: tuple[str, ...] = ()) -> str:
    """At most 120 characters of a provider's message, or nothing where it repeats a secret or the call's own text."""
    words = " ".join(message[: _LIMIT * 8].split())
    if not words or _shows(words, secrets) or _repeats(words, call):
        return ""
    return plain(_KEYISH.sub("[…]", words), _LIMIT)


def _shows(words: str, secrets: tuple[str, ...]) -> bool:
    for secret in secrets:
        size = min(_SECRET_PIECE, len(secret))
        if any(secret[start : start + size] in words for start in range(len(secret) - size + 1)):
            return True
    return False


def copies(words: str, call: Call) -> bool:
    """Return whether the words share a run of `_SHARED` characters with any text of the call."""
    return _repeats(words, call, telling=_SHARED)


def _repeats(words: str, call: Call, *, telling: int = _TELLING) -> bool:
    """Whether the words share such a run, or hold a shorter text of at least `telling` characters whole."""
    words = " ".join(words.split()).casefold()
    half = _SHARED // 2
    # A shared run covers one of these whole, wherever it starts: a few searches in a long text instead of hundreds.
    probes = [words[start : start + half] for start in range(0, len(words) - half + 1, half)]
    runs = range(len(words) - _SHARED + 1)
    for text in (*_said(call), *_texts(call.extra)):
        flat = " ".join(text.split()).casefold()
        if len(flat) < _SHARED:
            if len(flat) >= telling and flat in words:
                return True
        elif any(probe in flat for probe in probes) and any(words[at : at + _SHARED] in flat for at in runs):
            return True
    return False


def _said(call: Call) -> Iterator[str]:
    """What was said in the messages: not their roles and types, which any error may name."""
    for message in call.messages:
        content = message.get("content")
        for part in content if isinstance(content, list | tuple) else (content,):
            text = part.get("text") if isinstance(part, dict) else part
            if isinstance(text, str):
                yield text


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if len(value) >= _SHARED:
            yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)
