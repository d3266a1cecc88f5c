"""Promises of the demo provider's faults: failures, cut connections, garbage, broken streams, and slow answers."""

import aiohttp
import pytest

from tests.support.demo_caller import Caller


async def test_first_calls_fail_then_all_succeed(caller: Caller) -> None:
    """`fail_first` of the server counts all calls, that of a text only its own."""
    caller.demo.behave(fail_first=2, status=503)
    assert [(await caller.ask())[0] for _ in range(4)] == [503, 503, 200, 200]
    caller.demo.reset()
    text = "hi [demo fail_first=1 status=529]"
    assert [(await caller.ask(words))[0] for words in (text, "hi", text)] == [529, 200, 200]


@pytest.mark.parametrize("cut", ["before", "headers", "body"])
@pytest.mark.parametrize("stream", [True, False])
async def test_a_cut_connection_is_no_answer(caller: Caller, cut: str, stream: bool) -> None:
    """Wherever it is cut, the caller sees an end that is none, as much as was due before, and the next call works."""
    received = b""

    async def receive() -> None:
        nonlocal received
        async with caller.post(behave=f"cut={cut}", stream=stream) as response:
            async for part in response.content.iter_any():
                received += part

    with pytest.raises(aiohttp.ClientError):
        await receive()
    assert bool(received) == (cut == "body")
    assert caller.demo.stats.by_outcome == {"cut": 1}
    assert (await caller.ask())[0] == 200


@pytest.mark.parametrize(
    ("kind", "content_type", "starts"),
    [
        ("html", "text/html", b"<!DOCTYPE"),
        ("text", "text/plain", b"upstream"),
        ("empty", "application/json", b""),
        ("truncated", "application/json", b"{"),
        ("array", "application/json", b"["),
    ],
)
async def test_garbage_arrives_over_a_sound_connection(
    caller: Caller, kind: str, content_type: str, starts: bytes
) -> None:
    """Status 200 and a whole body that is of no use."""
    async with caller.post(behave=f"garbage={kind}") as response:
        body = await response.read()
        assert (response.status, response.content_type) == (200, content_type)
    assert body.startswith(starts)
    assert caller.demo.stats.by_outcome == {"garbage": 1}


async def test_an_error_page_can_be_html(caller: Caller) -> None:
    """A failing status and garbage together are what a broken gateway says."""
    async with caller.post(behave="status=502;garbage=html") as response:
        assert (response.status, response.content_type) == (502, "text/html")


async def test_a_huge_body_can_be_left(caller: Caller) -> None:
    """An endless body is written only as fast as it is read, and ends when the caller leaves."""
    async with caller.post(behave="garbage=huge") as response:
        assert len(await response.content.readexactly(300_000)) == 300_000
        response.close()
    await caller.demo.until(lambda stats: stats.cancelled == 1)


async def test_a_stream_comes_in_pieces_and_can_be_cut(caller: Caller) -> None:
    """Server-sent events end with [DONE]; with `stream_cut` they end without it."""
    async with caller.post(stream=True, behave="stream_chunk_delay=0.001") as response:
        assert response.content_type == "text/event-stream"
        events = (await response.text()).split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    assert len(events) > 6
    with pytest.raises(aiohttp.ClientPayloadError):
        async with caller.post(stream=True, behave="stream_cut=true") as response:
            await response.read()


async def test_an_answer_can_drip(caller: Caller) -> None:
    """Byte by byte it is still the whole answer; the first bytes are there long before the last."""
    async with caller.post(behave="drip=0.0001", max_tokens=4) as response:
        assert (await response.json())["choices"]
    async with caller.post(behave="drip=600") as response:
        assert await response.content.readexactly(1) == b"{"
        response.close()
    await caller.demo.until(lambda stats: stats.cancelled == 1)
