"""An estimate of tokens for calls whose provider names none, as streams without `stream_options`."""

from typing import Final

import msgspec

from sidecar.core.ports import Call
from sidecar.core.raw_json import RawMessages, TooMuch, opened, size_of

CHARACTERS: Final = 4
"""Characters of a token, about: English prose has 4 to 5, other languages fewer."""
FRAME: Final = 50
"""Bytes of a stream's events for each character of the answer, about: an event of 200 bytes carries a token."""


_OPENED: Final = 2**20
"""Bytes of memory that a content may take to be counted; of larger ones their bytes count."""


def tokens_of(call: Call, characters: int) -> int:
    """Return the estimated tokens of a call and an answer of so many characters, at least one."""
    try:
        read = sum(_characters(message.get("content")) for message in call.messages)
    except TooMuch:
        read = size_of(call.messages.raw) if isinstance(call.messages, RawMessages) else 0
    return max(1, (read + characters) // CHARACTERS)


def _characters(content: object) -> int:
    try:
        content = opened(content, _OPENED)
    except TooMuch:
        return size_of(content) if isinstance(content, msgspec.Raw) else 0
    if isinstance(content, str):
        return len(content)
    parts = content if isinstance(content, list) else []
    return sum(len(text) for part in parts if isinstance(part, dict) and isinstance(text := part.get("text"), str))
