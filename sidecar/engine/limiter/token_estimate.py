"""An estimate of tokens for calls whose provider names none, as streams without `stream_options`."""

from typing import Final

from sidecar.core.ports import Call

CHARACTERS: Final = 4
"""Characters of a token, about: English prose has 4 to 5, other languages fewer."""
FRAME: Final = 50
"""Bytes of a stream's events for each character of the answer, about: an event of 200 bytes carries a token."""


def tokens_of(call: Call, characters: int) -> int:
    """Return the estimated tokens of a call and an answer of so many characters, at least one."""
    read = sum(_characters(message.get("content")) for message in call.messages)
    return max(1, (read + characters) // CHARACTERS)


def _characters(content: object) -> int:
    if isinstance(content, str):
        return len(content)
    parts = content if isinstance(content, list) else []
    return sum(len(text) for part in parts if isinstance(part, dict) and isinstance(text := part.get("text"), str))
