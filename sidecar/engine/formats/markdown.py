"""Markdown to tokens, read so that no visible text of an answer is lost; by markdown-it, imported at the first use."""

import re
from functools import cache
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.token import Token

from sidecar.engine.formats.formulas import formula, formula_block
from sidecar.engine.formats.tables import table

LONGEST: Final = 64 * 1024
"""Characters of a text that is read as Markdown; a longer one counts as plain.

Reading takes 1 ms for 1,000 characters, and four seconds for this many where a text is made to be slow.
"""
DEEPEST: Final = 60
"""Levels of blocks inside blocks; a deeper text counts as plain. markdown-it would drop what is deeper."""

_OFF: Final = (
    "reference",  # definitions of links would vanish
    "lheading",  # "text\n---" of a model is a text and a line, and of "a\n=\nb" nothing may go
)
_LANGUAGE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9+#._-]{0,29}")
_ADDRESS: Final = re.compile(r"(?:https?://|mailto:)[^\s]", re.IGNORECASE)


class TooDeep(Exception):
    """A text has more levels than `DEEPEST`."""


def tokens_of(text: str) -> list[Token] | None:
    """Return the tokens of a text; None where the text is to be shown as it is: too long, or nested too deeply."""
    if len(text) > LONGEST:
        return None
    try:
        return _parser().parse(text)
    except TooDeep:
        return None


def inside_of(text: str) -> list[Token]:
    """Return the tokens inside a block whose text is `text`."""
    parser, tokens = _parser(), list[Token]()
    parser.inline.parse(text, parser, {}, tokens)
    return tokens


def code_of(token: Token) -> tuple[str, str]:
    """Return the language of a block of code, blank for none, and its text.

    Words behind a fence that are no language are text, whose line a model forgot to end.
    """
    words = token.info.strip()
    if _LANGUAGE.fullmatch(words):
        return words, token.content
    return "", f"{words}\n{token.content}" if words else token.content


def _deep(state: StateBlock, _start: int, _last: int, _silent: bool) -> bool:
    if state.level > DEEPEST:
        raise TooDeep
    return False


def _safe(address: str) -> bool:
    return _ADDRESS.match(address) is not None


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "maxNesting": DEEPEST + 20})
    parser.enable(["strikethrough"]).disable(list(_OFF))
    parser.block.ruler.before("code", "deep", _deep, {"alt": ["paragraph", "blockquote", "list"]})
    parser.block.ruler.before("code", "table", table, {"alt": ["paragraph"]})
    parser.block.ruler.before("code", "formula_block", formula_block, {"alt": ["paragraph", "blockquote", "list"]})
    parser.inline.ruler.before("escape", "formula", formula)
    parser.validateLink = _safe  # type: ignore[method-assign,assignment]
    return parser
