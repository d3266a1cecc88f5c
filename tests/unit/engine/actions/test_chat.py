"""Promises of the action `chat`, and of the cut that stands in for a context."""

import asyncio
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.errors import (
    DeadlineExceeded,
    EmptyResponse,
    InternalError,
    Overloaded,
    RateLimited,
    SidecarError,
    UpstreamUnreachable,
)
from sidecar.engine.actions import ACTIONS, Limits
from sidecar.engine.actions.truncate import truncate
from tests.support.scripted_completer import LIMITS, Scripted, request

chat = ACTIONS["chat"]
LONG = "Photosynthesis turns light into sugar. " * 50


async def test_without_context_the_content_is_the_users_message() -> None:
    """One call, the content word for word, at most max_tokens."""
    partner = Scripted(lambda _: "Hello!")
    assert await chat(request("What is a cell?"), partner, LIMITS) == "Hello!"
    (prompt,) = partner.prompts
    assert (prompt.purpose, prompt.user, prompt.max_tokens) == ("chat", "What is a cell?", LIMITS.max_tokens)


@pytest.mark.parametrize("blank", ["", " \n\t"])
async def test_a_blank_context_is_none(blank: str) -> None:
    """A blank context adds no empty material."""
    partner = Scripted()
    await chat(request("Hi", context=blank), partner, LIMITS)
    assert partner.prompts[0].user == "Hi"


async def test_a_short_context_is_given_whole_before_the_content() -> None:
    """Up to the threshold the context is material between marker lines, and the content follows."""
    context = "x" * LIMITS.summarize_threshold
    partner = Scripted()
    await chat(request("Why?", context=context), partner, LIMITS)
    (prompt,) = partner.prompts
    assert prompt.user == f"<<<MATERIAL>>>\n{context}\n<<<END MATERIAL>>>\n\nWhy?"
    assert context not in prompt.system


async def test_a_long_context_is_condensed_first_in_a_share_of_the_time() -> None:
    """One character over the threshold: one more call with 40% of the time left, and its answer stands in."""
    partner = Scripted(lambda prompt: "Light becomes sugar." if prompt.purpose == "context" else "An answer")
    said = await chat(request("Why?", context="x" * (LIMITS.summarize_threshold + 1)), partner, LIMITS)
    first, second = partner.prompts
    assert said == "An answer"
    assert (first.purpose, first.within, first.max_tokens) == ("context", 0.4, LIMITS.max_tokens // 2)
    assert (second.purpose, second.within) == ("chat", 1.0)
    assert "Light becomes sugar." in second.user
    assert "xx" not in second.user
    assert "condensed" in second.system
    assert "Why?" not in first.user + first.system, "the condensed context can be shared by all who ask about it"


@pytest.mark.parametrize(
    "failure",
    [DeadlineExceeded(), Overloaded(), RateLimited(), UpstreamUnreachable(), EmptyResponse(), InternalError()],
    ids=lambda failure: failure.code,
)
async def test_a_failed_summary_is_replaced_by_the_opening_and_the_chat_goes_on(failure: SidecarError) -> None:
    """Whatever fails the context's call, the first characters up to the threshold stand in, marked as cut."""
    partner = Scripted(lambda _: "An answer", failures={"context": failure})
    assert await chat(request("Why?", context=LONG), partner, LIMITS) == "An answer"
    prompt = partner.prompts[-1]
    material = prompt.user.removeprefix("<<<MATERIAL>>>\n").partition("\n<<<END MATERIAL>>>")[0]
    assert LONG.startswith(material)
    assert LIMITS.summarize_threshold * 3 // 4 <= len(material) <= LIMITS.summarize_threshold
    assert "cut off" in prompt.system


async def test_a_failed_chat_fails() -> None:
    """The chat's own failure is the caller's."""
    with pytest.raises(RateLimited):
        await chat(request("Why?"), Scripted(failures={"chat": RateLimited()}), LIMITS)


async def test_a_caller_who_leaves_during_the_context_call_ends_the_chat() -> None:
    """Cancellation is no failure to work around: no second call is made."""
    partner = Scripted(gate=asyncio.Event())

    async def run() -> str:
        return await chat(request("Why?", context=LONG), partner, LIMITS)

    task = asyncio.create_task(run())
    await partner.crowded.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert partner.purposes == ["context"]
    assert partner.cancelled == 1


@pytest.mark.parametrize("text", ["word " * 200_000, "漢字" * 500_000, "😀" * 300_000, "x" * 1_000_000])
async def test_a_gigantic_context_is_cut_before_its_one_call(text: str) -> None:
    """The one summary call carries no more than about three bytes for each token that fits, and nothing is counted."""
    limits = Limits(max_tokens=100, summarize_threshold=100, context_tokens=1000)
    partner = Scripted()
    await chat(request("Why?", context=text), partner, limits)
    assert partner.splits == []
    assert len(partner.prompts) == 2
    assert len(partner.prompts[0].user.encode()) <= 3 * 750 + 100


async def test_the_smallest_limits_still_chat() -> None:
    """Limits of one ask for at least one token and one character."""
    partner = Scripted(failures={"context": Overloaded()})
    await chat(request("Why?", context="ab"), partner, Limits(max_tokens=1, summarize_threshold=1, context_tokens=1))
    assert partner.prompts[0].max_tokens == 1
    assert "\na\n" in partner.prompts[1].user


def test_a_cut_ends_at_a_near_word() -> None:
    """A cut in the middle of a word goes back to its start; one between words keeps both."""
    assert truncate("The quick brown fox jumps", 18) == "The quick brown"
    assert truncate("The quick brown fox", 15) == "The quick brown"
    assert truncate("Donaudampfschiff", 5) == "Donau"


@pytest.mark.parametrize(
    ("text", "limit", "left"),
    [
        ("xe\u0301", 2, "x"),
        ("x👨\u200d👩\u200d👧", 4, "x"),
        ("x👍🏽", 2, "x"),
        ("x🇩🇪🇫🇷", 4, "x🇩🇪"),
        ("x\ud83d\ude00", 2, "x"),
        ("x\r\ny", 2, "x"),
        ("\u1112\u1161\u11ab", 2, "\u1112\u1161"),  # a cluster at the very start has to be cut
    ],
)
def test_a_cut_parts_no_cluster(text: str, limit: int, left: str) -> None:
    """Accents, joined emoji, skin tones, flags, surrogate pairs and line ends stay whole."""
    assert truncate(text, limit) == left


@given(text=st.text(min_size=1), limit=st.integers(1, 60))
def test_a_cut_is_an_opening_of_the_text(text: str, limit: int) -> None:
    """Never longer than the limit, never empty, always the text's own beginning."""
    left = truncate(text, limit)
    assert text.startswith(left)
    assert 1 <= len(left) <= limit or left == text


def test_marks_without_end_are_cut_anyway() -> None:
    """A run of combining marks cannot empty a cut, nor make it slow."""
    text = "a" + "\u0301" * 10_000
    assert unicodedata.combining(text[5_000])
    assert len(truncate(text, 5_000)) == 5_000
