"""The inside of a paragraph, heading or item of simple Markdown: text, bold, italics, code."""

import re
from typing import Final

HARD: Final = "\\_~&<$]"
"""Signs of which some are more than themselves."""
TRIM: Final = (
    "\t\n\x0b\x0c\r \xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f"
    "\u205f\u3000"
)
"""White space around a block's text, as markdown-it takes it (MDTRIM_CHARS)."""
_MORE: Final = re.compile(
    r"\\|~~|\]\(|&(?:#|[A-Za-z][A-Za-z0-9]*;)|<[^<>\x00-\x20]+>|(?<![^\W_])_|_(?![^\W_])",
)
"""Escapes and formulas, strokes, links, entities, addresses, and emphasis outside of words."""
_IN_CODE: Final = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;", "\n": "&#10;", "`": "&#96;", "\xa0": "&nbsp;"}
)
_LAST: Final = frozenset(".,:!?)%")
_NEXT: Final = frozenset(" \n.,:!?)")
"""Signs between which emphasis ends; behind a letter or digit it always does (CommonMark 6.2)."""


def simple_line(line: str, *, hard: bool) -> str | None:
    """Return the text of a block as HTML; None where some sign is not simple. `hard`: the answer has one of `HARD`."""
    line = line.strip(TRIM)
    if hard:
        if _MORE.search(line) or ("$" in line and ("*" in line or "`" in line or "\n" in line)):
            return None
        line = line.replace("&", "&amp;").replace("<", "&lt;")
    if ">" in line:
        line = line.replace(">", "&gt;")
    if "'" in line:
        line = line.replace("'", "&#39;")
    if '"' in line:
        line = line.replace('"', "&quot;")
    if "\xa0" in line:
        line = line.replace("\xa0", "&nbsp;")
    marked: str | None = line
    if "`" in line:
        marked = _code(line)
    if marked is not None and "*" in marked:
        marked = _emphasis(marked)
    return marked if marked is None or "\n" not in marked else marked.replace("\n", "<br>")


def code(text: str, language: str) -> str:
    """Return a block of code as HTML in one line."""
    begin = f'<pre><code class="language-{language}">' if language else "<pre><code>"
    return f"{begin}{text.translate(_IN_CODE)}</code></pre>"


def _code(line: str) -> str | None:
    parts = line.split("`")
    if not len(parts) % 2 or "``" in line:
        return None
    for at in range(1, len(parts), 2):
        inner = parts[at]
        if not inner or inner[0] == " " or inner[-1] == " " or "*" in inner or "\n" in inner:
            return None
        parts[at] = f"<code>{inner}</code>"
    return "".join(parts)


def _emphasis(line: str) -> str | None:
    if "***" in line:
        return None
    if "**" in line:
        parts = line.split("**")
        if not _paired(parts, "strong", "*\n"):
            return None
        line = "".join(parts)
        if "*" not in line:
            return line
    parts = line.split("*")
    return "".join(parts) if _paired(parts, "em", "<\n") else None


def _paired(parts: list[str], tag: str, without: str) -> bool:
    """Put the tag around every other part; return False where one may not be emphasis, or has a sign of `without`."""
    if not len(parts) % 2:
        return False
    for at in range(1, len(parts), 2):
        inner = parts[at]
        if not inner or not inner[0].isalnum() or without[0] in inner or without[1] in inner:
            return False
        if not inner[-1].isalnum():
            behind = parts[at + 1]
            if inner[-1] not in _LAST or (behind and behind[0] not in _NEXT):
                return False
        parts[at] = f"<{tag}>{inner}</{tag}>"
    return True
