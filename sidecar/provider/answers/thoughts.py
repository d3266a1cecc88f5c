"""Thoughts: what a model wrote before its answer, inside `<think>` and `</think>`."""

import re
from typing import Final

from sidecar.core.late_pattern import late_pattern
from sidecar.core.long_text import bounds, part, place_of

_OPENING: Final = late_pattern(r"\s*<(think|thinking|thought)>", re.IGNORECASE)
_CLOSING: Final = late_pattern(r"(?:\A|(?<=\n))[ \t]*</think>[ \t]*(?=\n|\Z)", re.IGNORECASE)
"""End of thoughts whose opening tag is part of the prompt's template: a line of its own."""
_STEP: Final = 64 * 1024


def without_thoughts(text: str) -> str:
    """Return the text behind the thoughts it begins with; blank where thoughts are all there is."""
    while (text[:1] == "<" or text[:1].isspace()) and (opening := _OPENING.match(text)) is not None:
        closing = re.compile(f"</{opening[1]}>", re.IGNORECASE | re.ASCII)
        end = _end_of(closing, text, opening.end())
        if end < 0:
            return ""  # cut off at the limit
        text = _behind(text, end)
    if place_of("</think>", text) >= 0 and place_of("<think>", text) < 0:
        closing_line = _CLOSING.search(text)
        return text if closing_line is None else _behind(text, closing_line.end())
    return text


def _end_of(closing: re.Pattern[str], text: str, at: int) -> int:
    """Return the end of the first closing tag from `at` on; -1 for none."""
    for begin in range(at, len(text), _STEP):
        if (found := closing.search(text, begin, begin + _STEP + 16)) is not None:
            return found.end()
    return -1


def _behind(text: str, place: int) -> str:
    begin, _ = bounds(text, place)
    return part(text, begin, len(text))
