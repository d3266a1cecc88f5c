"""Answers as HTML for a page that inserts them: a few tags, one line, nothing live.

The deployed plugin has two pages. Its widget inserts `data` as HTML, after it has cut attributes with quotes, such as
` onclick="…"`, out of the text too. Its chat page escapes each line, but for lines that begin with `<code` or `<pre`,
and looks for three backticks before that. So the HTML is one line, begins with a hidden `<code>`, and has neither a
backtick nor a quote in its text.
"""

import re
from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

import nh3
from markdown_it.token import Token

from sidecar.core.long_text import bounds, pieces
from sidecar.engine.formats.markdown import code_of, inside_of, tokens_of
from sidecar.engine.formats.simple import HEADINGS, MARK, simple_html

TAGS: Final = frozenset(
    {"p", "br", "strong", "em", "s", "code", "pre", "h3", "h4", "h5", "h6", "ul", "ol", "li", "blockquote", "hr"}
    | {"table", "thead", "tbody", "tr", "th", "td", "a"}
)
ATTRIBUTES: Final = {"a": {"href"}, "ol": {"start"}, "li": {"value"}, "code": {"class"}}
"""Attributes by tag, beside those that every link and every table gets."""
_CLASS: Final = "language-"
_PIECE: Final = re.compile(r"(<[^<>]*>)|[^<>]+")
_ENTITIES: Final = (("\n", "&#10;"), ("\r", "&#10;"), ('"', "&quot;"), ("'", "&#39;"), ("`", "&#96;"))

_cleaner: Final = nh3.Cleaner(
    tags=set(TAGS),
    clean_content_tags=set(),
    attributes={tag: set(names) for tag, names in ATTRIBUTES.items()},
    set_tag_attribute_values={"a": {"target": "_blank"}, "table": {"class": "table"}},
    url_schemes={"http", "https", "mailto"},
    url_relative="deny",
    link_rel="noopener noreferrer nofollow",
)


def to_html(text: str) -> str:
    """Return the answer as one line of HTML; the parser reads those parts of a simple text that are not simple."""
    written = simple_html(text, _inside)
    return parsed_html(text) if written is None else MARK + _cleaned(written.removeprefix(MARK))


def parsed_html(text: str) -> str:
    """Return the same, all of it read by the parser."""
    tokens = tokens_of(text)
    return _shown(text) if tokens is None else MARK + _cleaned("".join(_blocks(tokens)))


def _shown(text: str) -> str:
    """Return a text as it is, as one paragraph, escaped piece by piece."""
    written = (_cleaned(_broken(piece)) for piece in pieces(text, *bounds(text)))
    return "".join((MARK, "<p>", *written, "</p>"))


def _inside(text: str) -> str:
    return "".join(_inline(inside_of(text)))


def _cleaned(written: str) -> str:
    return _PIECE.sub(_one_line, _cleaner.clean(written))


def _one_line(piece: re.Match[str]) -> str:
    if piece[1]:
        return piece[1]
    text = piece[0]
    for sign, entity in _ENTITIES:  # of a text beyond ASCII, `translate` takes twenty times as long
        if sign in text:
            text = text.replace(sign, entity)
    return text


def _broken(text: str) -> str:
    return escape(text, quote=False).replace("\n", "<br>")


def _blocks(tokens: Sequence[Token]) -> Iterator[str]:
    numbers: list[int] = []
    for token in tokens:
        match token.type:
            case "inline":
                yield from _inline(token.children or ())
            case "fence" | "code_block":
                yield _code(token)
            case "formula_block":
                yield f"<p>{_broken(token.content)}</p>"
            case "hr":
                yield "<hr>"
            case "ordered_list_open":
                start = int(token.attrs.get("start", 1))
                numbers.append(start)
                yield f'<ol start="{start}">' if start != 1 else "<ol>"
            case "ordered_list_close":
                numbers.pop()
                yield "</ol>"
            case "list_item_open":
                yield _item(token.info, numbers)
            case _ if not token.hidden:
                yield _tag(token)


def _item(info: str, numbers: list[int]) -> str:
    """Return the tag of an item, with its number where the number is not the next."""
    if not info:
        return "<li>"
    number, expected = int(info), numbers[-1]
    numbers[-1] = number + 1
    return "<li>" if number == expected else f'<li value="{number}">'


def _code(token: Token) -> str:
    language, content = code_of(token)
    begin = f'<code class="{_CLASS}{language}">' if language else "<code>"
    return f"<pre>{begin}{escape(content)}</code></pre>"


def _inline(tokens: Sequence[Token]) -> Iterator[str]:
    titles: list[str] = []
    for at, token in enumerate(tokens):
        match token.type:
            case "text" | "text_special":
                yield escape(token.content, quote=False)
            case "code_inline":
                yield f"<code>{escape(token.content, quote=False)}</code>"
            case "softbreak" | "hardbreak":
                yield "<br>"
            case "link_open":
                titles.append(str(token.attrs.get("title", "")))
                address = str(token.attrs["href"])
                yield f'<a href="{escape(address)}">'
                if tokens[at + 1].type == "link_close":
                    yield escape(address, quote=False)
            case "link_close":
                # The widget cuts what looks like an attribute out of an attribute too: a title is safe as text only.
                title = titles.pop()
                yield f"</a> ({escape(title, quote=False)})" if title else "</a>"
            case "image":
                yield _image(token, inside_link=bool(titles))
            case _:
                yield _tag(token)


def _image(token: Token, *, inside_link: bool) -> str:
    """Return a link in the place of an image: what a page loads by itself tells its address that somebody reads."""
    address, title = str(token.attrs["src"]), str(token.attrs.get("title", ""))
    inner = token.children or ()
    shown = "".join(_inline(inner)) or escape(address, quote=False)
    if inside_link or any(child.type in {"link_open", "image"} for child in inner):  # no link is inside another
        shown += f" ({escape(address, quote=False)})"
    else:
        shown = f'<a href="{escape(address)}">{shown}</a>'
    return f"{shown} ({escape(title, quote=False)})" if title else shown


def _tag(token: Token) -> str:
    tag = HEADINGS.get(token.tag, token.tag)
    return f"</{tag}>" if token.nesting < 0 else f"<{tag}>"
