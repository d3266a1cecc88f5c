"""Promises of the splitter, with the real library; no network."""

import asyncio
import re
import subprocess
import sys
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.engine import splitter as module
from sidecar.engine.splitter import Splitter

PARAGRAPH = "The sun warms the sea. Water rises as vapour, cools and forms clouds. Rain brings it back to the land."
PROSE = "\n\n".join(f"{number}. {PARAGRAPH}" for number in range(200))


def solid(text: str) -> str:
    return "".join(text.split())


def of(unit: str) -> Callable[[int], str]:
    return lambda size: unit * (size // len(unit.encode()))


async def test_a_text_that_fits_comes_back_whole() -> None:
    """By its bytes or by its tokens: nothing is changed, not even white space."""
    for text in (" short ", f"{PARAGRAPH}\n\n{PARAGRAPH}\n"):
        assert await Splitter().split(text, fits=100, tokens=20) == [text]


async def test_a_text_between_both_limits_is_not_split() -> None:
    """`fits` decides whether a text is split, `tokens` how."""
    text = f"{PARAGRAPH} " * 4
    assert await Splitter().split(text, fits=300, tokens=30) == [text]
    assert len(await Splitter().split(text, fits=60, tokens=30)) > 3


async def test_parts_end_where_paragraphs_end() -> None:
    """Where paragraphs fit, no part starts or ends inside one."""
    parts = await Splitter().split(PROSE, fits=200, tokens=200)
    assert len(parts) > 10
    assert all(re.match(r"\d+\. The sun", part) and part.endswith("the land.") for part in parts)
    assert "\n\n".join(parts) == PROSE


async def test_parts_end_where_sentences_end() -> None:
    """Without paragraphs, parts are whole sentences."""
    parts = await Splitter().split(f"{PARAGRAPH} " * 100, fits=100, tokens=100)
    assert len(parts) > 10
    assert all(part.endswith(".") and part[0] in "TWR" for part in parts)


async def test_windows_leave_no_scraps() -> None:
    """A text much longer than a window is split about as well as at once: nearly every part is well filled."""
    parts = await Splitter().split(PROSE, fits=100, tokens=100)
    thin = [part for part in parts[:-1] if len(module._chunks(part, 100 * 8 // 10 // 3)) == 1]
    assert not thin


async def test_parts_are_filled_with_a_margin() -> None:
    """By our count a part has at most MARGIN of its limit: other models' vocabularies count more."""
    parts = await Splitter().split(PROSE, fits=500, tokens=500)
    assert all(len(module._chunks(part, int(500 * module.MARGIN))) == 1 for part in parts)


_pieces = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        [
            "\r\n",
            "\n\n\n\n\n\n\n\n\n",
            " ",
            ". ",
            "word",
            "Satz. ",
            "漢字",
            "👨\u200d👩\u200d👧",
            "e\u0301" * 9,
            "a" * 99,
        ]
    ),
    st.characters(categories=["Cs", "Zs", "Cc", "Mn"]),
)


@settings(max_examples=150)
@given(text=st.lists(_pieces, min_size=1, max_size=60).map("".join), tokens=st.integers(1, 30))
async def test_only_white_space_is_lost(text: str, tokens: int) -> None:
    """The parts one after another are the text, white space aside, whatever the text is made of."""
    parts = await Splitter().split(text, fits=tokens, tokens=tokens)
    assert solid("".join(parts)) == solid(text)
    assert all(parts) or not text


@pytest.mark.parametrize(
    "made",
    [
        of("a"),
        of("ab7Xq+"),
        of("!"),
        of("7"),
        of("漢字仮名交文"),
        of("😀"),
        of("👨\u200d👩\u200d👧"),
        of("a\u0301"),
        of("\u0301"),
        of("ภาษาไทย"),
        of("a. "),
        of("line\r\n"),
        of(" "),
        lambda size: " " * size + "end",
        lambda size: "".join("x" + "\n" * (run % 500) for run in range(size // 250)),
    ],
    ids=[
        "letter",
        "base64",
        "punctuation",
        "digit",
        "cjk",
        "emoji",
        "family",
        "accents",
        "marks",
        "thai",
        "dots",
        "crlf",
        "blank",
        "indented",
        "gaps",
    ],
)
async def test_a_text_without_borders_is_split_in_bounded_steps(made: Callable[[int], str]) -> None:
    """300 KB of what makes the library slow: it never sees more than a window, and nothing is lost.

    Seen whole, some of these take minutes.
    """
    text = made(300_000)
    parts = await Splitter().split(text, fits=1500, tokens=1500)
    assert solid("".join(parts)) == solid(text)
    assert all(len(part) <= module._window(1200) for part in parts) or text.isspace()


async def test_the_library_never_sees_a_long_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is counted at once grows with the limit, not with the text."""
    seen: list[int] = []
    count = module._chunks

    def watched(text: str, room: int) -> list[tuple[int, int]]:
        seen.append(len(text))
        return count(text, room)

    monkeypatch.setattr(module, "_chunks", watched)
    await Splitter().split(PROSE * 5, fits=300, tokens=150)
    assert max(seen) <= module._window(120)


async def test_many_texts_share_few_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many texts come at once, only so many are counted at a time; the thread pool stays free."""
    running = most = 0
    advance = module._advance

    def watched(text: str, place: int, room: int) -> tuple[list[str], int]:
        nonlocal running, most
        running += 1
        most = max(most, running)
        try:
            return advance(text, place, room)
        finally:
            running -= 1

    monkeypatch.setattr(module, "_advance", watched)
    splitter = Splitter(at_once=1)
    found = await asyncio.gather(*(splitter.split(PROSE, fits=100, tokens=100) for _ in range(10)))
    assert most == 1
    assert all(parts == found[0] for parts in found)


_COLD = """
import asyncio, sys
from sidecar.engine.splitter import Splitter
asyncio.run(Splitter().split({text!r}, fits=1000, tokens=750))
print("semantic_text_splitter" in sys.modules)
"""


@pytest.mark.parametrize(("text", "loaded"), [("é" * 500, "False"), ("é" * 501, "True")])
def test_a_short_text_loads_no_tokenizer(text: str, loaded: str) -> None:
    """A text of no more bytes than tokens that fit needs no count: the library stays out of the process."""
    ran = subprocess.run([sys.executable, "-c", _COLD.format(text=text)], check=True, capture_output=True, text=True)
    assert ran.stdout.strip() == loaded


def test_the_actions_import_nothing_heavy() -> None:
    """The one-shot process imports the actions: no tokenizer, HTTP, TLS or Unicode tables come with them."""
    code = "import sys, sidecar.engine.actions; print(*sys.modules, sep='\\n')"
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    heavy = {"semantic_text_splitter", "aiohttp", "openai", "pydantic", "unicodedata", "hashlib", "http.client"}
    assert not heavy & set(ran.stdout.split())
