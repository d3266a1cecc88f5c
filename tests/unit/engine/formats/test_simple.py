"""Simple Markdown written without a parser: the same HTML as with one, to the letter, or none."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.core.contract import sendable
from sidecar.engine.formats.html import parsed_html, to_html
from sidecar.engine.formats.simple import LONGEST, MARK, simple_html
from tests.support.scale import scaled

SUMMARY = """## Summary

The text explains **photosynthesis**: how plants turn light into energy, and "why" it matters.

Key points:

- **Light reactions:** they take place in *thylakoids* (5 > 3 & more).
- The Calvin cycle doesn't need light
  - it fixes `CO_2`
  - 2024 was a year, 1.5 a number

1. **First**
   - a

2. **Second**
   and more

---
In short, it's the base of every food chain.

```python
if light > 0:
    print("<`&'\xa0")
```
"""
WORDS = (
    *("word", "Two words", "ü", "é.", "2024", "1.5", "2. ", "1. x", "-5", "+1", "~5", "5%", "#tag", "!", "…", "✅"),
    *("①", "²", "\u0663. x", "\u096a) x"),
    *("**b**", "*i*", "`c d`", "**b:**", "**b**c", "a**b**c", "x*y*z", "*a b*,", "*a **b** c*"),
    *("**a *b* c**", "***b***"),
    *("a *b**c* d", "**a)**", "(**a**)", "**a.**b", "*a* **b**", "“**q**”", "**“q”**", "**€5**", "**", "*"),
    *("a * b", "_x_"),
    *("a_b", "a__b", "`a*b`", "``", "`", "`a", "b`", "~~s~~", "&", "a & b", "&amp;", "&#60;", "AT&T;", "a<b"),
    *("a < b>", "<i>"),
    *("<a@b.c>", "<https://e.org>", "[1]", "[a](https://e.org)", "![", "](", "$5", "$x$", "$$", "\\(", "\\"),
    *("\\*", "don't"),
    *('"q"', ">", "=", "|", "\xa0", "\xa0a", "\u202f", "\u2028", "\x0b", "\x0c", "\x85", "\x1c", "\ufeff", "\x7f"),
    *("\t", "\r"),
)
MARKERS = (
    *("", "", "", "- ", "- ", "* ", "+ ", "1. ", "2. ", "3. ", "1) ", "-   ", "*   ", "10. ", "1.  ", "-     "),
    *("> ", "    "),
    *("# ", "## ", "####### ", "- - ", "- # ", "- 1. "),
)
LINES = st.one_of(
    st.sampled_from(
        (
            "",
            "",
            " ",
            "---",
            "***",
            "___",
            "- - -",
            "--",
            "===",
            "**",
            "*",
            "-",
            "1.",
            "```",
            "```",
            "```c++",
            "``` py ",
            "````",
            " ```",
            "```a b",
            "$$",
            "|-|",
            "##",
        )
    ),
    st.builds(
        lambda indent, marker, words, end: " " * indent + marker + words + end,
        st.sampled_from((0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 8)),
        st.sampled_from(MARKERS),
        st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).flatmap(
            lambda words: st.sampled_from((" ", "")).map(lambda between: between.join(words))
        ),
        st.sampled_from(("", "", " ", "  ", " #", "\\")),
    ),
)
LISTS = st.builds(
    lambda indent, marker, blank: f"{' ' * indent}{marker}word{blank}",
    st.sampled_from((0, 0, 2, 3, 4, 6)),
    st.sampled_from(("- ", "- ", "* ", "1. ", "2. ", "")),
    st.sampled_from(("", "", "", "\n")),
)
TEXTS = (st.lists(LINES, max_size=6) | st.lists(LISTS, max_size=7)).map("\n".join) | st.text(max_size=60)


def same(text: str) -> bool:
    """Check both writers against the parser; return whether the text was simple."""
    text = sendable(text)
    expected = parsed_html(text)
    assert to_html(text) == expected
    written = simple_html(text)
    assert written in {None, expected}
    return written is not None


@settings(max_examples=scaled(200, 30_000))
@given(TEXTS)
def test_a_parser_would_have_written_the_same(text: str) -> None:
    """Whatever looks like something else: items, code, links, entities, formulas, white space of all kinds."""
    same(text)


def test_typical_answers_need_no_parser() -> None:
    """Else each would cost as much as the whole request."""
    assert same(SUMMARY)
    assert same("A plain answer.\n\nOf two paragraphs.")
    assert simple_html("") == MARK


@pytest.mark.parametrize(
    "text",
    [
        *("a\n2. b", "a\n1. b", "- a\n\n- b", "- a\n  - b\n\n- c", "- a\n    - b\n  - c"),
        *("- a\n     - b", "- a\n      - b"),
        *("  - a\n- b", "1. a\n1. b\n3. c", "1. a\n1) b", "- a\n* b", "- a\n  1. b\n  - c"),
        *("1. a\n- b\n2. c", "- a\nb"),
        *("- a\n  b  \n   c", "- a\n\n  b", "- a\n\nb\n- c", "- a\n# b\n- c", "- a\n---\n- b", "a\n---"),
        *("    a", "a\n    b"),
        *(
            "```\na\n```",
            "```py\n\n b\n```\nc",
            "a\n```\n```",
            "- a\n```\nb\n```\n- c",
            "```\na",
            "```\na\n  ```\n```",
            "```\n~~~",
        ),
        *("- a\n  ```\n  b\n  ```", "```a b\nc\n```", "```\na\n````\nb", "````\na\n```\nb\n````", "```\n``` a\n```"),
        *("# a #", "#", "0. a", "007. a", "1234567890. a", "- 2024 a", "- 1. a", "- - a", "a  \nb"),
        *("`a\n   b`", "- `a\n    b`"),
        *("\u0661. a\n\u0662. b", "a\n\n\u0967\u0968) b", "a\n\u0661. b"),
    ],
)
def test_blocks_begin_and_end_where_they_do_for_a_parser(text: str) -> None:
    """Items below items, blank lines between them, and lines that only look like items."""
    same(text)


@pytest.mark.parametrize(
    "text",
    [
        *("**a.**b", "**a:** b", "*a)*.", "*a%*b", "**a“**b", "a*b*c", "***a***", "**a***b*", "**a b"),
        *("** a**", "**a **"),
        *(
            "`a``b`",
            "``a``",
            "`a",
            "` a`",
            "` a `",
            "`a` `b`",
            "**`a`**",
            "*a `b` c*",
            "`a*b` *c*",
            "**a\nb**",
            "*a **b***",
        ),
        *("&copy; x", "AT&T; x", "&#65;", "R&D", "a<b>c", "<a@b.c>", "<x:y>", "a_b_c", "_a_", "a __b__"),
        *("~a~", "~~a~~"),
        *("[a](b)", "[a] (b)", "[a][b]", "\\*a\\*", "a\\\nb", "$5 **b** $6", "$a*b$ *c*", "$a\nb$"),
        *("\xa0a\xa0", "a\u2028"),
    ],
)
def test_signs_inside_a_line_mean_what_they_do_for_a_parser(text: str) -> None:
    """Emphasis, code, entities, addresses, escapes and formulas, and what looks like them."""
    same(text)


def test_a_long_text_is_read_by_the_parser() -> None:
    """The parser has a thread beside the loop, and this writer has none."""
    assert simple_html("a" * (LONGEST + 1)) is None
