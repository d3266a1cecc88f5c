"""Whatever a model writes: only allowed tags, and no word lost."""

from html import unescape
from urllib.parse import unquote

from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.core.contract import sendable
from sidecar.engine.formats.html import ATTRIBUTES, TAGS, to_html
from sidecar.engine.formats.simple import MARK
from sidecar.engine.formats.text import to_text
from tests.support.pages import Elements, chat_page, widget
from tests.support.scale import scaled

FIXED = {
    "a": {"target": "_blank", "rel": "noopener noreferrer nofollow"},
    "table": {"class": "table"},
}
SIGNS = (
    *("\n", "\n\n", "\r\n", " ", "\t", "    ", "# ", "> ", "- ", "+ ", "1. ", "7) ", "* * *", "---", "===", "***"),
    *("|", "\n|---|---|\n", "--|--", "\\|", "```", "~~~", "`", "``", "*", "**", "_", "__", "~~", "$", "$$", "'", "='"),
    *("\\(", "\\)", "\\[", "\\]", "\\", "[", "![", "]", "](", ")", "](https://e.org/)", "](javascript:alert(1))"),
    *("<https://e.org/", "<", ">", "<script>", "</script>", "<img src=x onerror=alert(1)>", '<a href="javascript:x">'),
    *("<!--", "-->", "<![CDATA[", "<?", "&", "&amp;", "&lt;", "&#60;", "&#x22;", ";", '"', ' onclick="', "</code>"),
    *("é", "\U0001f600", "\u2028", "\ufeff", "\x0b", "\x7f", "[1]: https://e.org/", "[^1]", "://", "</p>"),
)
DOCUMENTS = st.lists(st.sampled_from(SIGNS) | st.just("word"), max_size=40).map(
    lambda pieces: "".join(f"w{number}w" if piece == "word" else piece for number, piece in enumerate(pieces))
)


def words(text: str) -> set[str]:
    return {word for word in text.replace("_", " ").replace("*", " ").split("w") if word.isdigit()}


@settings(max_examples=scaled(40, 5_000))
@given(DOCUMENTS | st.text(max_size=200))
def test_only_allowed_tags_and_attributes(text: str) -> None:
    """Each tag is ours, is closed, and has the attributes of the list with values of our making."""
    written = to_html(sendable(text))
    page = Elements(written.removeprefix(MARK))
    assert (page.faults, page.open) == ([], [])
    for tag, attributes in page.tags:
        assert tag in TAGS
        fixed = FIXED.get(tag, {})
        assert attributes.items() >= fixed.items()
        assert attributes.keys() - fixed.keys() <= ATTRIBUTES.get(tag, set())
        assert attributes.get("href", "http:").lower().startswith(("http:", "https:", "mailto:"))
        assert attributes.get("start", "1").isdigit()
        assert attributes.get("value", "1").isdigit()
        assert tag == "table" or attributes.get("class", "language-").startswith("language-")


@settings(max_examples=scaled(40, 5_000))
@given(DOCUMENTS)
def test_no_word_is_lost(text: str) -> None:
    """Each is in the visible text, or in the address or the language that it was written for."""
    written = to_html(text)
    page = Elements(written)
    beside = " ".join(value for _, attributes in page.tags for value in attributes.values())
    assert words(text) <= words(page.text) | words(unquote(beside))
    languages = " ".join(attributes.get("class", "") for _, attributes in page.tags)
    assert words(text) <= words(unquote(unescape(to_text(text)))) | words(languages)


@settings(max_examples=scaled(30, 5_000))
@given(DOCUMENTS | st.text(max_size=200))
def test_neither_page_changes_it(text: str) -> None:
    """One line, without a backtick or a quote in its text."""
    written = to_html(sendable(text))
    assert widget(written) == chat_page(written) == written
