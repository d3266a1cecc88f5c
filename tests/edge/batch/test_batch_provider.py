"""Promises of the batch while the provider is down, full or refusing: what is waited for, and what ends it."""

import asyncio

import pytest

from sidecar.batch import runner as running_module
from sidecar.core.errors import EmptyResponse, UpstreamAuth, UpstreamError, UpstreamFailure, UpstreamUnreachable
from tests.support.batch_folder import PATIENCE, Folder, Provider, answers, data
from tests.support.scripted_calls import refusal


async def test_a_provider_that_is_down_is_waited_for(folder: Folder) -> None:
    """That is said once, and no request suffers from it."""
    names = [f"q{number}" for number in range(30)]
    folder.questions(*names)
    provider = Provider(lambda _: UpstreamUnreachable())
    running = asyncio.create_task(folder.batch(provider))
    await asyncio.wait_for(folder.spoke.wait(), PATIENCE)
    assert folder.texts == ["The AI provider cannot be reached. Waiting until it is back."]
    provider.fails = lambda _: None
    assert await running == 0
    assert data(folder) == answers(*names)
    assert sum("Waiting" in said for said in folder.texts) == 1


async def test_a_provider_that_has_no_room_at_all_is_waited_for(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is said too, and costs no line a try, however long it lasts."""
    monkeypatch.setattr(running_module, "_REFUSING_SECONDS", 0.05)
    names = [f"q{number}" for number in range(30)]
    folder.questions(*names)
    provider = Provider(lambda _: UpstreamError(status=503, scope="capacity"))
    running = asyncio.create_task(folder.batch(provider))
    await asyncio.wait_for(folder.spoke.wait(), PATIENCE)
    assert folder.texts == ["The AI provider refuses every call for now. Waiting until it is back."]
    provider.fails = lambda _: None
    assert await running == 0
    assert data(folder) == answers(*names)


async def test_waiting_for_the_provider_can_end(folder: Folder) -> None:
    """After so many seconds, with what there is kept."""
    folder.questions(*[f"q{number}" for number in range(30)])
    assert await folder.batch(Provider(lambda _: UpstreamUnreachable()), patience=0.0) == 1
    assert "It was waited for 0 seconds." in folder.texts[-1]
    assert folder.part.exists()


async def test_a_refused_key_ends_it(folder: Folder) -> None:
    """Asking on would be in vain; with the right key the same command asks all that was not answered."""
    names = [f"q{number}" for number in range(30)]
    folder.questions(*names)
    assert await folder.batch(Provider(lambda _: UpstreamAuth(status=401))) == 1
    assert "OPENAI_API_KEY" in folder.texts[-1]
    assert "0 more answers" in folder.texts[-1]
    provider = Provider()
    assert await folder.batch(provider) == 0
    assert sorted(provider.asked) == sorted(names)


@pytest.mark.parametrize(
    ("failure", "calls"),
    [
        (EmptyResponse(status=200), 1),
        (UpstreamError(status=404), 1),
        (UpstreamError(status=500), 3),
    ],
    ids=["empty", "model unknown", "failed"],
)
async def test_what_is_final_is_what_is_final_for_a_job(
    folder: Folder, failure: UpstreamFailure, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer that is paid for and empty is not paid again; a failure of the provider has three tries."""
    monkeypatch.setattr(running_module, "_BACKOFF", 0.01)
    folder.questions("a")
    provider = Provider(lambda _: failure)
    assert await folder.batch(provider) == 1
    assert (len(provider.calls), folder.replies[0]["code"]) == (calls, failure.code)


async def test_a_limit_of_the_provider_is_respected(folder: Folder) -> None:
    """A line that the provider refuses for want of room is sent again until it is answered; no try is used up."""
    names = [f"q{number}" for number in range(12)]
    folder.questions(*names)
    refused: list[str] = []

    def fails(question: str) -> Exception | None:
        if question in refused:
            return None
        refused.append(question)
        return refusal() if question in ("q3", "q7") else None

    assert await folder.batch(Provider(fails)) == 0
    assert data(folder) == answers(*names)
