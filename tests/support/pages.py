"""The two pages of the deployed plugin, as doubles: what each does with `data`. Written from what the pages do.

The widget cuts a few things out of `data` and inserts the rest as HTML. The chat page reads `data` as a little
Markdown, line by line: a line that begins with `<code` or `<pre` passes, any other is escaped.
"""

import re
from html import escape
from html.parser import HTMLParser

_SCRIPT = re.compile(r"<script\b[^<]*(?:(?!</script>)<[^<]*)*</script>", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"\son\w+=([\"'])(.*?)\1", re.IGNORECASE)
_ADDRESS = re.compile(r"(href|src)\s*=\s*([\"'])\s*javascript:[^\"']*\2", re.IGNORECASE)
_FENCE = re.compile(r"```(\w+)?\s*(.*?)```", re.DOTALL)
_QUOTED = re.compile(r"\s*\"(.*)\"\s*", re.DOTALL)
_VOID = {"br", "hr", "img", "input", "link", "meta"}


def widget(data: str) -> str:
    """Return what the widget inserts into the page."""
    return _ADDRESS.sub(r"\1=\2#\2", _ATTRIBUTE.sub("", _SCRIPT.sub("", data)))


def chat_page(data: str) -> str:
    """Return what the chat page writes into the page."""
    if (quoted := _QUOTED.fullmatch(data)) is not None:
        data = quoted[1]
    lines = _FENCE.sub(lambda found: f"\n<pre><code>{escape(found[2])}</code></pre>\n", data).split("\n")
    return "\n".join(
        line if line.strip().startswith(("<pre", "<code")) else f"<p>{escape(line.strip())}</p>"
        for line in lines
        if line.strip()
    )


class Elements(HTMLParser):
    """What a page has: its tags with their attributes, and the text that a person sees."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.open: list[str] = []
        """Tags that are open now, outermost first."""
        self.faults: list[str] = []
        """Ends of what is not open, and comments."""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        self.faults.append(data)

    def handle_decl(self, decl: str) -> None:
        self.faults.append(decl)

    def handle_pi(self, data: str) -> None:
        self.faults.append(data)

    def unknown_decl(self, data: str) -> None:
        self.faults.append(data)
