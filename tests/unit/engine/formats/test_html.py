"""HTML of answers: what a model writes, as the deployed plugin's pages show it."""

import pytest

from sidecar.core import long_text
from sidecar.engine.formats.html import to_html
from sidecar.engine.formats.markdown import DEEPEST, LONGEST
from sidecar.engine.formats.simple import MARK
from tests.support.pages import Elements, chat_page, widget


def html(text: str) -> str:
    """Return the HTML without its mark."""
    written = to_html(text)
    assert written.startswith(MARK)
    return written.removeprefix(MARK)


def test_paragraphs_lines_and_emphasis() -> None:
    """A line break of the model's is one for the reader."""
    assert html("One *and* **two**\nthree.\n\nFour.") == (
        "<p>One <em>and</em> <strong>two</strong><br>three.</p><p>Four.</p>"
    )


def test_headings_are_below_the_pages_own() -> None:
    """The page around the answer has the first two levels."""
    assert html("# A\n\n## B\n\n###### C") == "<h3>A</h3><h4>B</h4><h6>C</h6>"


def test_lists_keep_their_numbers() -> None:
    """Also where a model begins elsewhere or leaves one out."""
    assert html("3. a\n4. b\n7. c\n   - d") == (
        '<ol start="3"><li>a</li><li>b</li><li value="7">c<ul><li>d</li></ul></li></ol>'
    )


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("| a | b |\n|---|---|\n| 1 | 2 | 3 |\n| 4 |", [["a", "b"], ["1", "2", "3"], ["4"]]),
        ("| a | b | c |\n|---|---|\n| 1 | 2 |", [["a", "b", "c"], ["1", "2"]]),
        ("a | b\n--|:-:\n1 | x\\|y", [["a", "b"], ["1", "x|y"]]),
        ("Before:\n| a |\n|---|\n| |\nAfter.", [["a"], [""]]),
    ],
)
def test_rows_of_uneven_length_stay_a_table(text: str, rows: list[list[str]]) -> None:
    """No cell is lost, whatever the head says."""
    written = html(text)
    table = written[written.index("<table") : written.index("</table>")]
    found = [row.replace("<th>", "<td>").split("<td>")[1:] for row in table.split("<tr>")[1:]]
    assert [[cell.partition("</")[0] for cell in row] for row in found] == rows


@pytest.mark.parametrize(
    "text",
    [
        "$x<y$ and Vec<int>",
        "a<b, c>d & e",
        "\\(a*b*c\\) and \\[x_1 * y_2 * z\\]",
        "$$\nx_{1}^{*}\n=\n- y^{*} \\\\\n$$",
        "costs $5 and $6",
        "<script>alert(1)</script>",
        '<img src=x onerror="alert(1)">',
        "<!-- a comment -->",
        "[a](javascript:alert(1)) [b](data:text/html,x) [c](/course/delete.php) [d](vbscript:x)",
        "[1]: https://example.org",
    ],
)
def test_what_is_no_markdown_is_shown_as_it_was_written(text: str) -> None:
    """Formulas, types, tags and definitions of links are text."""
    shown = Elements(html(text).replace("<br>", "\n"))
    assert shown.text == text
    assert {tag for tag, _ in shown.tags} == {"p"}


def test_code_keeps_its_lines_and_signs() -> None:
    """Indents, tags, quotes and backticks, in one line of HTML."""
    written = html("```python\nif a < b:\n    print(\"<b>\", '`')\n```\n`Vec<int>`")
    assert written == (
        '<pre><code class="language-python">if a &lt; b:&#10;    print(&quot;&lt;b&gt;&quot;, &#39;&#96;&#39;)&#10;'
        "</code></pre><p><code>Vec&lt;int&gt;</code></p>"
    )


def test_text_behind_a_fence_is_not_lost() -> None:
    """A model that forgets to end the line has its words shown."""
    assert "Here it is&#10;x" in html("~~~ Here it is\nx\n~~~")


@pytest.mark.parametrize("address", ["https://example.org/a?b=1&c=2", "http://example.org", "mailto:a@example.org"])
def test_links_go_out_and_nowhere_else(address: str) -> None:
    """Into a new tab, without a word about the page they come from."""
    [tag] = [attributes for tag, attributes in Elements(html(f'[text]({address} "title")')).tags if tag == "a"]
    assert tag == {"href": address, "target": "_blank", "rel": "noopener noreferrer nofollow"}
    assert "title" in html(f'[text]({address} "title")')


def test_a_link_without_words_shows_its_address() -> None:
    """Else there would be nothing to see, and nothing to press."""
    assert Elements(html("see [](https://example.org/a) now")).text == "see https://example.org/a now"


@pytest.mark.parametrize(
    ("text", "tags", "shown"),
    [
        ("![alt](https://e.org/x.png)", ["p", "a"], "alt"),
        ("![](https://e.org/x.png)", ["p", "a"], "https://e.org/x.png"),
        ('![*a* b](https://e.org/x.png "t")', ["p", "a", "em"], "a b (t)"),
        ("[![alt](https://e.org/x.png)](https://e.org)", ["p", "a"], "alt (https://e.org/x.png)"),
        ("![![a](https://e.org/1) [b](https://e.org/2)](https://e.org/3)", ["p", "a", "a"], "a b (https://e.org/3)"),
        ("![alt](data:image/png;base64,AAAA)", ["p"], "![alt](data:image/png;base64,AAAA)"),
    ],
)
def test_an_image_is_a_link(text: str, tags: list[str], shown: str) -> None:
    """What a page loads by itself would tell its address that somebody reads; links are not inside links."""
    page = Elements(html(text))
    assert ([tag for tag, _ in page.tags], page.text) == (tags, shown)


def test_entities_are_characters() -> None:
    """As in every Markdown; in code they are shown."""
    assert html("&lt;b&gt; &copy; `&amp;`") == "<p>&lt;b&gt; © <code>&amp;amp;</code></p>"


@pytest.mark.parametrize("text", ["> " * (DEEPEST + 10) + "deep", "- " * 200 + "deep", "x\n" * (LONGEST // 2 + 1)])
def test_what_is_too_deep_or_too_long_is_plain(text: str) -> None:
    """All of it is shown, without Markdown."""
    shown = Elements(html(text).replace("<br>", "\n"))
    assert shown.text.split() == text.split()
    assert {tag for tag, _ in shown.tags} == {"p"}


def test_a_long_text_is_written_in_pieces_that_nobody_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever a piece ends: the text is escaped, and no entity or tag goes from one piece into the next."""
    text = " \n" + 'It\'s `a` <b> &amp; \r\n"q" \U0001f642\n' * (LONGEST // 20) + "\n "
    whole = to_html(text)
    monkeypatch.setattr(long_text, "PIECE", 1009)
    assert to_html(text) == whole
    assert "".join(Elements(whole).text.split()) == "".join(text.split())


def test_both_pages_of_the_deployed_plugin_show_it() -> None:
    """Neither the widget's cuts nor the chat page's escaping touch it."""
    text = '# A\n\n<code><img src=x onerror="live()"></code>\n\n```\n a = " onclick=\'b\'"\n```\n| x |\n|---|\n| y |'
    written = to_html(text)
    assert widget(written) == chat_page(written) == written
    assert "live()" in chat_page(text)  # as the provider wrote it, its markup is live there
