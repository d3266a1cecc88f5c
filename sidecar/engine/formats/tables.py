"""Tables in Markdown whose rows may have more or fewer cells than the head.

markdown-it's own rule drops the cells beyond the head's, and takes a head that differs from its rule for a paragraph.
"""

import re
from typing import Final

from markdown_it.rules_block import StateBlock

_RULE: Final = re.compile(r"\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?")
"""The line below the head, without outer white space."""
_BAR: Final = re.compile(r"(?<!\\)\|")


def table(state: StateBlock, start: int, last: int, silent: bool) -> bool:
    """Rule: take a head, its rule, and all rows that follow; a row is a line with a bar."""
    rule = start + 1
    if rule >= last or not _belongs(state, rule) or state.is_code_block(start):
        return False
    head, below = _line(state, start), _line(state, rule)
    if "|" not in head or "|" not in below or not _RULE.fullmatch(below):
        return False
    if silent:
        return True
    state.push("table_open", "table", 1)
    state.push("thead_open", "thead", 1)
    _row(state, start, head, "th")
    state.push("thead_close", "thead", -1)
    number = rule + 1
    if _is_row(state, number, last):
        state.push("tbody_open", "tbody", 1)
        while _is_row(state, number, last):
            _row(state, number, _line(state, number), "td")
            number += 1
        state.push("tbody_close", "tbody", -1)
    state.push("table_close", "table", -1)
    state.line = number
    return True


def _is_row(state: StateBlock, number: int, last: int) -> bool:
    return number < last and _belongs(state, number) and "|" in _line(state, number)


def _belongs(state: StateBlock, number: int) -> bool:
    return state.sCount[number] >= state.blkIndent and not state.is_code_block(number)


def _line(state: StateBlock, number: int) -> str:
    return state.src[state.bMarks[number] + state.tShift[number] : state.eMarks[number]].strip()


def _row(state: StateBlock, number: int, text: str, tag: str) -> None:
    state.push("tr_open", "tr", 1)
    for cell in _cells(text):
        state.push(f"{tag}_open", tag, 1)
        token = state.push("inline", "", 0)
        token.map, token.content, token.children = [number, number + 1], cell, []
        state.push(f"{tag}_close", tag, -1)
    state.push("tr_close", "tr", -1)


def _cells(text: str) -> list[str]:
    cells = [cell.strip().replace("\\|", "|") for cell in _BAR.split(text)]
    # Bars at both ends are no cells; two cells in a row may be blank.
    if cells and not cells[0]:
        del cells[0]
    if cells and not cells[-1]:
        del cells[-1]
    return cells
