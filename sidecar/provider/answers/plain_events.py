"""Fast way for what a stream mostly is: whole events, each one line of data, each a piece of text and nothing more.

Whatever is anything else goes the long way, which knows every wrapping, error, count and end.
"""

from collections.abc import Sequence
from typing import Any, Final

from sidecar.provider import codec

_BEFORE: Final = b"data: {"
_AFTER: Final = b"}\n\n"
_BETWEEN: Final = b"}\n\ndata: {"
_NOT_IN_EVENT: Final = frozenset({"error", "base_resp", "x_groq"})
_NOT_IN_CHOICE: Final = frozenset({"error", "message"})


def plain_data(chunk: bytes) -> Sequence[bytes] | None:
    """Return the data of each event in `chunk`, None where the chunk is more than whole plain events."""
    if not (chunk.startswith(_BEFORE) and chunk.endswith(_AFTER)) or b"\r" in chunk:
        return None
    found = [b"{%s}" % data for data in chunk[len(_BEFORE) : -len(_AFTER)].split(_BETWEEN)]
    return found if all(_is_plain(data) for data in found) else None


def _is_plain(data: bytes) -> bool:
    if b"\n" in data:
        return False
    try:
        body: Any = codec.strict(data)
    except (ValueError, RecursionError):
        return False
    choices = body.get("choices")
    if type(choices) is not list or len(choices) != 1 or body.get("usage") is not None:
        return False
    choice = choices[0]
    if type(choice) is not dict or choice.get("finish_reason") is not None:
        return False
    delta = choice.get("delta")
    if type(delta) is not dict or "error" in delta:
        return False
    return _NOT_IN_EVENT.isdisjoint(body) and _NOT_IN_CHOICE.isdisjoint(choice)
