"""Promises of the demo provider's limits: slots, rates, voices, distance, and callers who leave."""

import asyncio
import json

import aiohttp

from sidecar.demo.options import Options
from sidecar.demo.server import serve
from tests.support.demo_caller import Caller


async def test_slots_refuse_beyond_and_serve_again(caller: Caller) -> None:
    """The call beyond the slots sounds as one by requests does; after the others left it is served."""
    demo = caller.demo
    demo.behave(slots=2, stall=1, retry_after=3)
    async with asyncio.TaskGroup() as group:
        stalled = [group.create_task(caller.ask()) for _ in range(2)]
        await demo.until(lambda stats: stats.stalled == 2)
        status, headers, body = await caller.ask()
        assert (status, headers["Retry-After"]) == (429, "3")
        assert (body["error"]["type"], body["error"]["code"]) == ("requests", "rate_limit_exceeded")
        assert (headers["x-ratelimit-remaining-requests"], headers["x-ratelimit-reset-requests"]) == ("0", "1s")
        assert "concurren" not in json.dumps([body, *headers]).lower()
        for task in stalled:
            task.cancel()
    await demo.until(lambda stats: stats.in_flight == 0)
    demo.behave(stall=0)
    assert (await caller.ask())[0] == 200
    stats = demo.stats
    assert (stats.received, stats.answered, stats.refused, stats.cancelled) == (4, 1, 1, 2)
    assert stats.peak_in_flight == 2
    assert sum(stats.by_outcome.values()) == stats.received


async def test_a_queueing_provider_makes_callers_wait(caller: Caller) -> None:
    """With `queue` nobody is refused; a caller who leaves the line costs nobody anything."""
    demo = caller.demo
    demo.behave(slots=1, queue=True)
    async with asyncio.TaskGroup() as group:
        first = group.create_task(caller.ask(behave="stall=1"))
        await demo.until(lambda stats: stats.stalled == 1)
        others = [group.create_task(caller.ask()) for _ in range(3)]
        await demo.until(lambda stats: stats.waiting == 3)
        others[0].cancel()
        await demo.until(lambda stats: stats.waiting == 2)
        first.cancel()
    assert [task.result()[0] for task in others[1:]] == [200, 200]
    assert (demo.stats.in_flight, demo.stats.peak_in_flight, demo.stats.cancelled) == (0, 1, 2)


async def test_a_caller_who_leaves_is_counted_and_frees_the_slot(caller: Caller) -> None:
    """A closed connection ends the call's work at once, in the middle of its latency."""
    ask = asyncio.create_task(caller.ask("[demo latency=600]", user="u1"))
    await caller.demo.until(lambda stats: stats.in_flight == 1)
    ask.cancel()
    stats = await caller.demo.until(lambda stats: stats.cancelled == 1)
    assert (stats.in_flight, stats.answered, stats.by_outcome, stats.by_user) == (0, 0, {"cancelled": 1}, {"u1": 1})


async def test_a_caller_who_leaves_in_mid_body_is_counted(caller: Caller) -> None:
    """Half a request and a closed connection is a cancelled call, not an error of the server."""
    host, port = caller.demo.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{")
    await caller.demo.until(lambda stats: stats.received == 1)
    writer.close()
    await writer.wait_closed()
    await caller.demo.until(lambda stats: stats.cancelled == 1)


async def test_rates_refuse_like_openai() -> None:
    """Beyond the requests a minute comes 429 with the time to wait and the limit's name; when it is over, 200."""
    now = 50.0
    async with serve(Options(rpm=2, tpm=1000), clock=lambda: now) as demo, aiohttp.ClientSession() as session:
        caller = Caller(demo, session)
        _, headers, _ = await caller.ask(max_tokens=100)
        assert headers["x-ratelimit-remaining-requests"] == "1"
        assert headers["x-ratelimit-remaining-tokens"] == "900"
        assert headers["x-ratelimit-reset-tokens"] == "6s"
        await caller.ask()
        status, headers, body = await caller.ask()
        assert (status, headers["Retry-After"], body["error"]["type"]) == (429, "30", "requests")
        assert headers["x-ratelimit-remaining-requests"] == "0"
        assert "requests per min (RPM)" in body["error"]["message"]
        now += 30
        assert (await caller.ask())[0] == 200
        now += 60
        await caller.ask(max_tokens=900)
        status, _, body = await caller.ask(max_tokens=900)
        assert (status, body["error"]["type"]) == (429, "tokens")
        assert "tokens per min (TPM)" in body["error"]["message"]
        assert demo.stats.by_outcome == {"answered": 4, "rpm": 1, "tpm": 1}


async def test_a_voice_is_chosen_by_flag_behave_header_or_text(caller: Caller) -> None:
    """The same full provider says 429, 503, 529 or a list, as it is told for all calls or for one."""
    demo = caller.demo
    await caller.admin("POST", "/demo/behave", json={"slots": 1, "stall": 1, "voice": 503})
    stalled = asyncio.create_task(caller.ask())
    await demo.until(lambda stats: stats.stalled == 1)
    status, headers, body = await caller.ask()
    assert (status, "Retry-After" in headers, body["error"]["code"]) == (503, False, "service_unavailable")
    assert (await caller.ask(behave="voice=529"))[0] == 529
    status, headers, body = await caller.ask("hi [demo voice=gemini]")
    assert (status, "Retry-After" in headers, body[0]["error"]["status"]) == (429, False, "RESOURCE_EXHAUSTED")
    status, headers, _ = await caller.ask(behave="voice=azure")
    assert (status, headers["Retry-After"], headers["retry-after-ms"]) == (429, "1", "1000")
    async with caller.post(behave="voice=bare") as response:
        assert (response.status, await response.read()) == (429, b"Too Many Requests")
        assert response.headers.keys() == {"Content-Type", "Content-Length", "Date", "Server"}
    stalled.cancel()
    await demo.until(lambda stats: stats.cancelled == 1)
    assert demo.stats.by_outcome == {"slots": 5, "cancelled": 1}


async def test_the_queue_voice_makes_callers_wait(caller: Caller) -> None:
    """It is the option `queue` by another name."""
    demo = caller.demo
    demo.behave(slots=1, voice="queue")
    first = asyncio.create_task(caller.ask(behave="stall=1"))
    await demo.until(lambda stats: stats.stalled == 1)
    second = asyncio.create_task(caller.ask())
    await demo.until(lambda stats: stats.waiting == 1)
    first.cancel()
    assert (await second)[0] == 200


async def test_a_used_up_day_is_named_inside_the_body(caller: Caller) -> None:
    """OpenRouter's way: no header names the wait, the body's metadata does."""
    caller.demo.behave(day=1, voice="openrouter")
    assert (await caller.ask())[0] == 200
    status, headers, body = await caller.ask()
    assert (status, "Retry-After" in headers) == (429, False)
    assert body["error"]["metadata"]["headers"]["X-RateLimit-Remaining"] == "0"
    assert int(body["error"]["metadata"]["headers"]["X-RateLimit-Reset"]) > 1_700_000_000_000


async def test_only_openais_voices_tell_what_is_left(caller: Caller) -> None:
    """Gemini's answers carry no x-ratelimit header, OpenAI's do."""
    caller.demo.behave(rpm=100, rpm_burst=10)
    for voice, told in (("openai", True), ("gemini", False), ("reset", False)):
        _, headers, _ = await caller.ask(behave=f"voice={voice}")
        assert ("x-ratelimit-remaining-requests" in headers) == told


async def test_a_refusal_can_take_its_time(caller: Caller) -> None:
    """While it takes its time it holds no slot, and the caller may leave."""
    caller.demo.behave(rpm=1, refusal_seconds=600)
    assert (await caller.ask())[0] == 200
    slow = asyncio.create_task(caller.ask(user="u"))
    await caller.demo.until(lambda stats: stats.by_user == {"u": 1})
    assert (caller.demo.stats.in_flight, caller.demo.stats.refused) == (0, 0)
    slow.cancel()
    await caller.demo.until(lambda stats: stats.cancelled == 1)


async def test_a_provider_can_be_far_away(caller: Caller) -> None:
    """A call on its way holds no slot; there and back take twice the distance, for answers, streams and refusals."""
    demo = caller.demo
    far = asyncio.create_task(caller.ask(user="u", behave="distance=600"))
    await demo.until(lambda stats: stats.by_user == {"u": 1})
    assert demo.stats.in_flight == 0
    far.cancel()
    await demo.until(lambda stats: stats.cancelled == 1)
    loop = asyncio.get_running_loop()
    for behave, stream, expected in (("", False, 200), ("", True, 200), ("status=503", False, 503)):
        start = loop.time()
        async with caller.post(behave=f"distance=0.02;{behave}", stream=stream) as response:
            assert response.status == expected
        assert loop.time() - start >= 0.04
