"""Promises of the action `analyze`."""

import pytest

from sidecar.core.errors import RateLimited
from sidecar.engine.actions import ACTIONS
from tests.support.scripted_completer import LIMITS, Scripted, request

analyze = ACTIONS["analyze"]


async def test_one_call_with_the_whole_token_limit() -> None:
    """An analysis is one call for the content, at most max_tokens long, and its answer is the answer."""
    partner = Scripted(lambda _: "## Learning objectives")
    said = await analyze(request("Plants turn light into sugar.", action="analyze"), partner, LIMITS)
    (prompt,) = partner.prompts
    assert said == "## Learning objectives"
    assert (prompt.purpose, prompt.max_tokens) == ("analysis", LIMITS.max_tokens)
    assert "Plants turn light into sugar." in prompt.user


async def test_the_context_is_left_to_chat() -> None:
    """A context sent along changes nothing: only chat uses it."""
    partner = Scripted()
    await analyze(request("A text.", action="analyze", context="SECRET"), partner, LIMITS)
    assert "SECRET" not in partner.prompts[0].user + partner.prompts[0].system


async def test_a_failure_is_the_callers() -> None:
    """What fails the call fails the action, unchanged."""
    failure = RateLimited()
    with pytest.raises(RateLimited) as raised:
        await analyze(request("A text.", action="analyze"), Scripted(failures={"analysis": failure}), LIMITS)
    assert raised.value is failure
