r"""Formulas in Markdown: `$…$`, `$$…$$`, `\(…\)` and `\[…\]` stay as they were written.

Without these rules CommonMark takes `\(` for an escaped bracket and `*` for emphasis, and a formula loses characters.
"""

from typing import Final

from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline

LONGEST: Final = 1000
"""Characters of a formula inside a line; a longer one is text. Bounds the search that each `$` begins."""
MOST_LINES: Final = 100
"""Lines of a formula that stands alone, for the same reason."""

_CLOSING: Final = {"$$": "$$", "\\(": "\\)", "\\[": "\\]"}


def formula(state: StateInline, silent: bool) -> bool:
    """Rule: take a formula inside a line."""
    end = _end(state.src[state.pos : state.pos + LONGEST])
    if not end:
        return False
    if not silent:
        state.push("text", "", 0).content = state.src[state.pos : state.pos + end]
    state.pos += end
    return True


def _end(text: str) -> int:
    """Return the length of the formula that `text` begins with; 0 for none."""
    opening = text[:2]
    if (closing := _CLOSING.get(opening)) is not None:
        found = text.find(closing, 2)
        return found + 2 if found > 2 else 0
    if not text.startswith("$") or len(text) < 2 or text[1].isspace():
        return 0
    found = text.find("$", 2)
    while found > 0:
        # "$5 and $6" are two prices: a formula ends behind no space, and in front of no digit.
        if not text[found - 1].isspace() and not text[found + 1 : found + 2].isdigit():
            return found + 1
        found = text.find("$", found + 1)
    return 0


def formula_block(state: StateBlock, start: int, last: int, silent: bool) -> bool:
    """Rule: take a formula that begins a line and ends one, as a paragraph of its own."""
    if state.is_code_block(start):
        return False
    first = _line(state, start)
    closing = _CLOSING.get(first[:2])
    if closing is None or closing == "\\)":
        return False
    line, text = start, first[2:]
    while not text.rstrip().endswith(closing):
        line += 1
        if line >= min(last, start + MOST_LINES) or state.isEmpty(line) or state.sCount[line] < state.blkIndent:
            return False
        text = _line(state, line)
    if not silent:
        token = state.push("formula_block", "p", 0)
        token.content = "\n".join(_line(state, number) for number in range(start, line + 1))
        state.line = line + 1
    return True


def _line(state: StateBlock, number: int) -> str:
    return state.src[state.bMarks[number] + state.tShift[number] : state.eMarks[number]]
