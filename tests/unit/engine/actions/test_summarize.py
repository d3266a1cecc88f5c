"""Promises of the action `summarize`."""

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.core.errors import ContextExceeded, RateLimited, UpstreamError
from sidecar.core.ports import Prompt
from sidecar.engine.actions import ACTIONS, Limits
from tests.support.scripted_completer import LIMITS, Scripted, at_words, request

summarize = ACTIONS["summarize"]
SMALL = Limits(max_tokens=80, summarize_threshold=100, context_tokens=400)
"""300 words a part, 40 tokens an answer."""


def words(count: int) -> str:
    return " ".join(f"w{number}" for number in range(count))


def text_of(prompt: Prompt) -> str:
    return prompt.user.partition("\n")[2].rpartition("\n")[0]


async def test_a_text_that_fits_is_one_call_of_half_the_tokens() -> None:
    """One call, purpose "summary", max_tokens / 2."""
    partner = Scripted(lambda _: "Short.")
    assert await summarize(request("A text.", action="summarize"), partner, LIMITS) == "Short."
    (prompt,) = partner.prompts
    assert (prompt.purpose, prompt.max_tokens) == ("summary", 500)
    assert text_of(prompt) == "A text."


async def test_one_token_is_the_least() -> None:
    """MAX_TOKENS=1 asks for one token, not for none."""
    partner = Scripted()
    limits = Limits(max_tokens=1, summarize_threshold=1, context_tokens=1)
    await summarize(request("Text", action="summarize"), partner, limits)
    assert partner.prompts[0].max_tokens == 1


async def test_a_call_may_be_filled_up_to_its_answer_and_words() -> None:
    """Parts have three quarters of a call; a whole text what prompt and answer leave, if that is more."""
    partner = Scripted()
    await summarize(request("A text.", action="summarize"), partner, LIMITS)
    await summarize(request("A text.", action="summarize"), partner, SMALL)
    (fits, tokens), small = partner.splits
    assert tokens == 12_000
    assert 12_000 < fits < 16_000 - 500
    assert small == (300, 300)


async def test_parts_are_summarized_and_their_summaries_too() -> None:
    """Every part is asked for by its number; the last call gets the parts' summaries in order."""
    partner = Scripted(lambda prompt: "All." if prompt.purpose == "reduction" else f"About {text_of(prompt)[:4]}")
    assert await summarize(request(words(1000), action="summarize"), partner, SMALL) == "All."
    assert partner.purposes == ["part"] * 4 + ["reduction"]
    assert [f"part {number} of 4" in prompt.system for number, prompt in enumerate(partner.prompts[:4], 1)] == [
        True
    ] * 4
    assert text_of(partner.prompts[-1]) == "About w0 w\n\nAbout w300\n\nAbout w600\n\nAbout w900"
    assert partner.prompts[-1].max_tokens == 40
    assert " ".join(text_of(prompt) for prompt in partner.prompts[:4]) == words(1000)


async def test_summaries_that_are_too_long_are_summarized_again() -> None:
    """With many parts the summaries need a round of their own before the last call."""
    partner = Scripted(lambda prompt: " ".join(["fact"] * prompt.max_tokens))
    await summarize(request(words(12_000), action="summarize"), partner, SMALL)
    assert partner.purposes[:40] == ["part"] * 40
    assert set(partner.purposes[40:]) == {"reduction"}
    assert len(partner.purposes) > 42
    assert "these are number 1 of" in partner.prompts[40].system
    assert "these are number" not in partner.prompts[-1].system


async def test_at_most_eight_parts_are_in_flight_at_once() -> None:
    """Parts go side by side, and no text has more than eight of them queued."""
    partner = Scripted(lambda _: "ok")
    await summarize(request(words(300 * 30), action="summarize"), partner, SMALL)
    assert partner.most_running == 8
    assert partner.purposes.count("part") == 30


async def test_the_first_failure_ends_the_others_and_is_the_answer() -> None:
    """A part that fails cancels its neighbours, starts no further ones, and its own error comes out."""
    cause = ValueError("what the adapter saw")
    failure = UpstreamError("no")
    failure.__cause__ = cause

    class Failing(Scripted):
        async def complete(self, prompt: Prompt) -> str:
            if "part 3 of" in prompt.system:
                raise failure
            return await super().complete(prompt)

    partner = Failing(gate=asyncio.Event())
    with pytest.raises(UpstreamError) as raised:
        await summarize(request(words(300 * 30), action="summarize"), partner, SMALL)
    assert raised.value is failure
    assert raised.value.__cause__ is cause
    assert partner.running == 0
    assert len(partner.prompts) == partner.cancelled < 8


async def test_two_failures_are_one_error() -> None:
    """Parts that fail together raise a plain error of the tree, not a group."""
    with pytest.raises(RateLimited):
        await summarize(request(words(1000), action="summarize"), Scripted(failures={"part": RateLimited()}), SMALL)


async def test_a_caller_who_leaves_ends_every_part() -> None:
    """Cancelling the action cancels all its calls and lets the cancellation out."""
    partner = Scripted(gate=asyncio.Event(), crowd=8)

    async def run() -> str:
        return await summarize(request(words(300 * 30), action="summarize"), partner, SMALL)

    task = asyncio.create_task(run())
    await partner.crowded.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (partner.running, partner.cancelled, len(partner.prompts)) == (0, 8, 8)


@settings(max_examples=60)
@given(count=st.integers(1, 20_000), max_tokens=st.integers(1, 3000), context_tokens=st.integers(200, 4000))
async def test_a_model_that_keeps_to_its_limits_is_done_in_few_rounds(
    count: int, max_tokens: int, context_tokens: int
) -> None:
    """Summaries as long as allowed shrink the text at least to a half each round, and nothing has to be cut."""
    partner = Scripted(lambda prompt: " ".join(["fact"] * prompt.max_tokens))
    limits = Limits(max_tokens=max_tokens, summarize_threshold=1, context_tokens=context_tokens)
    await summarize(request(words(count), action="summarize"), partner, limits)
    assert len(partner.splits) <= 8
    assert all(prompt.max_tokens <= max(1, max_tokens // 2) for prompt in partner.prompts)


def at_letters(text: str, fits: int, tokens: int) -> list[str]:
    """Splits everything it can, whatever fits: the worst partner there is."""
    return [text[:1], *(text[1:][start : start + tokens] for start in range(0, len(text) - 1, tokens))]


@settings(max_examples=60)
@given(
    text=st.text(alphabet="ab c", min_size=1, max_size=400).filter(lambda text: bool(text.strip())),
    answer=st.sampled_from(["longer", "much longer", "same", "one"]),
    splitting=st.sampled_from([at_words, at_letters]),
    context_tokens=st.integers(1, 40),
)
async def test_the_reduction_ends_whatever_the_model_says(
    text: str, answer: str, splitting: Any, context_tokens: int
) -> None:
    """Summaries longer than what they summarize are cut; every round gains, and the last call is always reached."""
    says = {
        "longer": lambda prompt: text_of(prompt) + " and more of the same",
        "much longer": lambda _: "blah " * 2000,
        "same": text_of,
        "one": lambda _: "x",
    }[answer]
    partner = Scripted(says, splitting=splitting)
    limits = Limits(max_tokens=10, summarize_threshold=1, context_tokens=context_tokens)
    await summarize(request(text, action="summarize"), partner, limits)
    assert len(partner.splits) <= len(text).bit_length() + 1
    assert partner.purposes[-1] in {"summary", "reduction"}
    assert len(partner.prompts) <= 4 * len(text) + 4


class Narrow(Scripted):
    """A model that refuses texts of more words than its context, in a provider's way."""

    def __init__(self, size: int, *, named: int | None) -> None:
        super().__init__(lambda _: "Short.")
        self.size = size
        self.named = named
        self.refused = 0

    async def complete(self, prompt: Prompt) -> str:
        if len(prompt.user.split()) > self.size:
            self.refused += 1
            raise ContextExceeded(limit=self.named)
        return await super().complete(prompt)


@pytest.mark.parametrize("named", [4000, None, 10**6])
async def test_a_text_over_the_models_context_is_split_again(named: int | None) -> None:
    """The refusal teaches the size, whether it names one or not; the next text is cut for it at once."""
    partner = Narrow(4000, named=named)
    assert await summarize(request(words(11_000), action="summarize"), partner, LIMITS) == "Short."
    assert "part" in partner.purposes
    refused = partner.refused
    assert await summarize(request(words(11_000), action="summarize"), partner, LIMITS) == "Short."
    assert partner.refused == refused


async def test_a_context_too_small_for_any_text_ends_the_summary() -> None:
    """Splitting again ends; the sentence is the provider's refusal."""
    with pytest.raises(ContextExceeded):
        await summarize(request(words(11_000), action="summarize"), Narrow(1, named=None), LIMITS)
