"""Plain text of answers: the words without Markdown's signs."""

import pytest

from sidecar.engine.formats.markdown import DEEPEST, LONGEST
from sidecar.engine.formats.text import to_text


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("# Title\n\nA *b* **c** `d<e`.\nNext.", "Title\n\nA b c d<e.\nNext."),
        ("1. a\n   - b\n   - c\n4. d", "1. a\n   - b\n   - c\n4. d"),
        ("- a\n\n  more\n- b", "- a\n\n  more\n- b"),
        ("> a\n> - b\n\nc", "> a\n>\n> - b\n\nc"),
        ("| a | b |\n|---|---|\n| 1 | 2 | 3 |\n| 4 |\n\nx", "a | b\n1 | 2 | 3\n4\n\nx"),
        ("```sh\nls | wc\n```\nx", "ls | wc\n\nx"),
        ("[a](https://b.c) <https://d.e>", "a (https://b.c) https://d.e"),
        ("![a](https://b.c) ![](https://d.e 't')", "a (https://b.c) (t) (https://d.e)"),
        ("$x<y$\n\n$$\na\n$$", "$x<y$\n\n$$\na\n$$"),
        ("a\n\n---\n\nb", "a\n\n----------\n\nb"),
        ("&lt;b&gt; <b>", "<b> <b>"),
        ("", ""),
    ],
)
def test_what_is_left_of_markdown(text: str, plain: str) -> None:
    """Lists, quotes, tables and code keep their lines."""
    assert to_text(text) == plain


@pytest.mark.parametrize("text", ["> " * (DEEPEST + 10) + "deep", "*x*\n" * LONGEST])
def test_what_is_too_deep_or_too_long_stays_as_it_is(text: str) -> None:
    """It is not read as Markdown."""
    assert to_text(text) == text
