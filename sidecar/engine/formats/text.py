"""Answers as plain text: the words without Markdown's signs, line by line, for a caller that escapes them."""

from collections.abc import Sequence
from typing import Final

from markdown_it.token import Token

from sidecar.engine.formats.markdown import code_of, tokens_of

_ENDS: Final = frozenset({"paragraph_close", "heading_close", "table_close", "bullet_list_close", "ordered_list_close"})
"""Ends of blocks that a blank line follows."""


def to_text(text: str) -> str:
    """Return the answer without Markdown's signs; a text that is not read as Markdown returns as it is."""
    tokens = tokens_of(text)
    if tokens is None:
        return text
    writer = _Writer()
    for token in tokens:
        writer.take(token)
    return "\n".join(writer.lines).strip("\n")


class _Writer:
    """Lines of the open blocks: an item or quote has its own until its end, and is indented then."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._outer: list[list[str]] = []
        self._markers: list[str] = []
        self._cells: list[str] | None = None

    def take(self, token: Token) -> None:
        """Write one block's token."""
        match token.type:
            case "inline" if self._cells is not None:
                self._cells.append(_words(token.children or ()).replace("\n", " "))
            case "inline":
                self.lines += _words(token.children or ()).split("\n")
            case "fence" | "code_block" | "formula_block" | "hr":
                self.lines += _block(token)
            case "tr_open":
                self._cells = []
            case "tr_close":
                self.lines.append(" | ".join(self._cells or ()))
                self._cells = None
            case "list_item_open":
                self._open(f"{token.info}. " if token.info else "- ")
            case "blockquote_open":
                self._open("> ")
            case "list_item_close" | "blockquote_close":
                self._close()
            case _ if token.type in _ENDS and not token.hidden:
                self.lines.append("")

    def _open(self, marker: str) -> None:
        self._outer.append(self.lines)
        self._markers.append(marker)
        self.lines = []

    def _close(self) -> None:
        marker, inner = self._markers.pop(), self.lines
        while inner and not inner[-1]:
            inner.pop()
        rest = marker if marker == "> " else " " * len(marker)
        self.lines = self._outer.pop()
        self.lines += [f"{marker if number == 0 else rest}{line}".rstrip() for number, line in enumerate(inner or [""])]
        if marker == "> ":
            self.lines.append("")


def _block(token: Token) -> list[str]:
    if token.type == "hr":
        return ["-" * 10, ""]
    return [*code_of(token)[1].rstrip("\n").split("\n"), ""]


def _words(tokens: Sequence[Token]) -> str:
    words: list[str] = []
    links: list[tuple[int, str, str]] = []
    for token in tokens:
        match token.type:
            case "softbreak" | "hardbreak":
                words.append("\n")
            case "link_open":
                links.append((len(words), str(token.attrs["href"]), str(token.attrs.get("title", ""))))
            case "link_close":
                begin, address, title = links.pop()
                shown = "".join(words[begin:])
                more = [title, "" if shown in {address, address.removeprefix("mailto:")} else address]
                words += [f" ({part})" for part in more if part]
            case "image":
                parts = [_words(token.children or ()), str(token.attrs.get("title", "")), str(token.attrs["src"])]
                words.append(" ".join(part if not number else f"({part})" for number, part in enumerate(parts) if part))
            case _:
                words.append(token.content)
    return "".join(words)
