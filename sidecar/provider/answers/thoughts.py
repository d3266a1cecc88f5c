"""Thoughts: what a model wrote before its answer, inside `<think>` and `</think>`."""

import re
from typing import Final

_OPENING: Final = re.compile(r"\s*<(think|thinking|thought)>", re.IGNORECASE)
_CLOSING: Final = re.compile(r"(?:\A|(?<=\n))[ \t]*</think>[ \t]*(?=\n|\Z)", re.IGNORECASE)
"""End of thoughts whose opening tag is part of the prompt's template: a line of its own."""


def without_thoughts(text: str) -> str:
    """Return the text behind the thoughts it begins with; blank where thoughts are all there is."""
    while (opening := _OPENING.match(text)) is not None:
        end = f"</{opening[1]}>".lower()
        place = text.lower().find(end, opening.end())
        if place < 0:
            return ""  # cut off at the limit
        text = text[place + len(end) :].lstrip()
    if "</think>" in text and "<think>" not in text and (closing := _CLOSING.search(text)) is not None:
        return text[closing.end() :].lstrip()
    return text
