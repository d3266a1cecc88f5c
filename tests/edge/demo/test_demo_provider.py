"""Promises of the demo upstream over real sockets: shapes, limits, troubles, and callers who leave."""

import asyncio
import contextlib
import io
import json
import logging
import socket
import sys
from collections.abc import AsyncIterator
from signal import SIGINT, SIGTERM
from typing import Any

import aiohttp
import openai
import pytest

from sidecar.demo.options import MEANINGS, BadOptionError, Options
from sidecar.demo.server import Demo, serve

CANARY = "kingfisher-canary"


class Caller:
    """Calls one demo upstream."""

    def __init__(self, demo: Demo, session: aiohttp.ClientSession) -> None:
        self.demo = demo
        self.session = session

    def post(self, text: str = "Why is the sky blue?", *, behave: str = "", key: str = "k", **fields: Any) -> Any:
        body = {"model": "m", "messages": [{"role": "user", "content": text}], **fields}
        headers = {"Authorization": f"Bearer {key}"}
        if behave:
            headers["X-Demo-Behave"] = behave
        return self.session.post(f"{self.demo.url}/v1/chat/completions", json=body, headers=headers)

    async def ask(self, text: str = "Why is the sky blue?", **fields: Any) -> tuple[int, Any, Any]:
        """Status, headers and decoded body of one call."""
        async with self.post(text, **fields) as response:
            return response.status, response.headers, await response.json()

    async def admin(self, method: str, path: str, **fields: Any) -> tuple[int, Any]:
        async with self.session.request(method, self.demo.url + path, **fields) as response:
            return response.status, await response.json()


@pytest.fixture
async def caller() -> AsyncIterator[Caller]:
    async with serve(keep=4) as demo, aiohttp.ClientSession() as session:
        yield Caller(demo, session)


async def test_a_call_gets_a_completion(caller: Caller) -> None:
    """The model asked for comes back, with text, a reason and counts that add up."""
    status, headers, body = await caller.ask(CANARY)
    assert status == 200
    assert headers["x-request-id"].startswith("req_")
    assert body["id"].startswith("chatcmpl-")
    assert body["model"] == "m"
    assert CANARY in body["choices"][0]["message"]["content"]
    assert body["usage"]["total_tokens"] > 0


@pytest.mark.parametrize("prefix", ["", "/v1", "/a/b/c", "/openai/deployments/gpt-x"])
async def test_any_prefix_leads_to_the_same_route(caller: Caller, prefix: str) -> None:
    """Base URLs differ; a deployment's name stands in for the model."""
    body: dict[str, Any] = {"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]}
    if "deployments" not in prefix:
        body["model"] = "gpt-x"
    status, found = await caller.admin("POST", f"{prefix}/chat/completions?api-version=1", json=body)
    assert (status, found["model"]) == (200, "gpt-x")
    status, found = await caller.admin("GET", f"{prefix}/models")
    assert (status, found["object"]) == (200, "list")


async def test_the_official_sdk_reads_answers_streams_and_errors(caller: Caller) -> None:
    """The shapes are OpenAI's: its own client takes all three."""
    async with openai.AsyncOpenAI(base_url=f"{caller.demo.url}/v1", api_key="k", max_retries=0) as client:
        ask: Any = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
        whole = await client.chat.completions.create(**ask)
        assert whole.choices[0].message.content
        usage: Any = {"include_usage": True}
        stream = await client.chat.completions.create(**ask, stream=True, stream_options=usage)
        chunks = [chunk async for chunk in stream]
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        assert text == whole.choices[0].message.content
        assert chunks[-1].usage == whole.usage
        caller.demo.behave(quota=True)
        with pytest.raises(openai.RateLimitError) as caught:
            await client.chat.completions.create(**ask)
        assert caught.value.code == "insufficient_quota"


@pytest.mark.parametrize(
    ("behave", "fields", "status", "code"),
    [
        ("api_key=right", {}, 401, "invalid_api_key"),
        ("quota=true", {}, 429, "insufficient_quota"),
        ("no_max_tokens=true", {"max_tokens": 9}, 400, "unsupported_parameter"),
        ("", {"max_tokens": 9, "max_completion_tokens": 9}, 400, "invalid_parameter_combination"),
        ("", {"max_tokens": 0}, 400, "integer_below_min_value"),
        ("", {"model": ""}, 400, None),
        ("", {"messages": []}, 400, "empty_array"),
        ("", {"messages": "hi"}, 400, None),
        ("models=a,b", {}, 404, "model_not_found"),
        ("fail=1", {}, 500, None),
        ("status=503", {}, 503, "service_unavailable"),
        ("status=529", {}, 529, "overloaded"),
        ("status=498", {}, 498, "capacity_exceeded"),
        ("tpm=5", {"max_tokens": 9}, 429, "rate_limit_exceeded"),
        ("nope=1", {}, 400, "unknown_demo_option"),
    ],
)
async def test_errors_have_openais_shape(
    caller: Caller, behave: str, fields: dict[str, Any], status: int, code: str | None
) -> None:
    """Each trouble has its status and code, and all four fields of the error."""
    found, _, body = await caller.ask(behave=behave, key="wrong", **fields)
    assert (found, body["error"]["code"]) == (status, code)
    assert body["error"].keys() == {"message", "type", "param", "code"}


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"messages":' + b"[" * 100_000])
async def test_a_body_that_is_no_call_is_a_400(caller: Caller, body: bytes) -> None:
    """Whatever comes, the answer is an error in the usual shape and the next call is served."""
    status, found = await caller.admin("POST", "/v1/chat/completions", data=body)
    assert (status, found["error"]["type"]) == (400, "invalid_request_error")
    assert (await caller.ask())[0] == 200


async def test_unknown_urls_and_methods_have_the_shape_too(caller: Caller) -> None:
    """404 and 405 are errors like all others."""
    assert (await caller.admin("GET", "/v1/nothing"))[1]["error"]["code"] == "unknown_url"
    assert (await caller.admin("GET", "/v1/chat/completions"))[1]["error"]["code"] == "method_not_supported"


async def test_max_completion_tokens_is_taken_where_max_tokens_is_not(caller: Caller) -> None:
    """The newer parameter limits the answer as the older one does."""
    status, _, body = await caller.ask(behave="no_max_tokens=true", max_completion_tokens=5)
    assert status == 200
    assert body["usage"]["completion_tokens"] <= 5
    assert body["choices"][0]["finish_reason"] == "length"


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


async def test_behaviour_changes_in_mid_run(caller: Caller) -> None:
    """POST /demo/behave holds from the next call on, says what is wrong, and /demo/reset takes all back."""
    status, options = await caller.admin("POST", "/demo/behave", json={"status": 503})
    assert (status, options["status"]) == (200, 503)
    assert (await caller.ask())[0] == 503
    status, body = await caller.admin("POST", "/demo/behave", json={"nope": 1})
    assert (status, "nope" in body["error"]["message"]) == (400, True)
    with pytest.raises(BadOptionError):
        caller.demo.behave(latency="x")
    await caller.admin("POST", "/demo/reset")
    assert (await caller.ask(user="u"))[0] == 200
    _, stats = await caller.admin("GET", "/demo/stats")
    assert (stats["received"], stats["answered"], stats["by_user"]) == (1, 1, {"u": 1})
    assert stats["by_status"] == {"200": 1}
    assert (await caller.admin("GET", "/health"))[1]["status"] == "healthy"


async def test_a_test_can_look_at_what_was_sent(caller: Caller) -> None:
    """With `keep` the last calls are remembered; without it, nothing is."""
    await caller.ask(CANARY, max_tokens=7)
    heard = caller.demo.received[-1]
    assert heard.json()["max_tokens"] == 7
    assert heard.headers["authorization"] == "Bearer k"
    async with serve() as other:
        await Caller(other, caller.session).ask(CANARY)
        assert not other.received


async def test_until_gives_up_with_the_stats_in_its_words(caller: Caller) -> None:
    """A condition that does not come ends in a TimeoutError that shows the counts."""
    with pytest.raises(TimeoutError, match="received=0"):
        await caller.demo.until(lambda stats: stats.received == 1, within=0.01)


async def test_no_text_and_no_key_is_logged(caller: Caller, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever goes wrong, the log holds neither what was asked nor who asked."""
    caplog.set_level(logging.DEBUG)
    for behave in ("", "status=500", "nope=1", "garbage=nocontent", "cut=body", "api_key=x", "cut=before"):
        with contextlib.suppress(aiohttp.ClientError):
            await caller.ask(CANARY, behave=behave, key=CANARY)
    await caller.admin("POST", "/v1/chat/completions", data=CANARY)
    assert CANARY not in caplog.text


async def test_a_bound_socket_is_taken_over() -> None:
    """A test that picks the port beforehand hands in the socket."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
        async with serve(sock=sock.dup()) as demo, aiohttp.ClientSession() as session:
            assert demo.url == f"http://127.0.0.1:{port}"
            assert (await Caller(demo, session).ask())[0] == 200


async def test_leaving_the_block_ends_stalled_calls() -> None:
    """Stopping waits for nobody: a stalled caller sees the connection end."""
    async with aiohttp.ClientSession() as session:
        async with serve(Options(stall=1)) as demo:
            ask = asyncio.create_task(Caller(demo, session).ask())
            await demo.until(lambda stats: stats.stalled == 1)
        with pytest.raises(aiohttp.ClientConnectionError):
            await ask


async def test_a_large_text_fits(caller: Caller) -> None:
    """Texts of many megabytes are taken, over 64 MiB are refused in the usual shape."""
    content = "A long sentence. " * 500_000
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": content}]}).encode()
    assert (await caller.admin("POST", "/v1/chat/completions", data=io.BytesIO(body)))[0] == 200
    over = io.BytesIO(b" " * (64 * 2**20 + 1))
    status, found = await caller.admin("POST", "/v1/chat/completions", data=over)
    assert (status, found["error"]["code"]) == (413, "request_too_large")


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


COMMAND = "import sys; from sidecar.demo.command import main; sys.exit(main(sys.argv[1:]))"


@pytest.mark.parametrize("number", [SIGTERM, SIGINT])
async def test_the_command_serves_and_stops_on_a_signal(number: int) -> None:
    """It says where it listens in one line, behaves as its flags say, and a signal ends it with 0."""
    args = ("--port=0", "--fail=1", "--status", "418", "--queue")
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", COMMAND, *args, stderr=asyncio.subprocess.PIPE)
    assert process.stderr is not None
    try:
        line = (await process.stderr.readline()).decode()
        assert line.startswith("demo upstream on http://127.0.0.1:")
        assert line.endswith("/v1 (canned answers, not a model)\n")
        body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
        async with aiohttp.ClientSession() as session:
            async with session.post(f"{line.split()[3]}/chat/completions", json=body) as response:
                assert response.status == 418
                assert json.loads(await response.read())["error"]
            process.send_signal(number)
            assert await process.wait() == 0
        assert await process.stderr.read() == b""
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.parametrize(
    ("args", "named"),
    [
        (("--nope",), "--nope"),
        (("--latency=soon",), "latency"),
        (("--voice=loud",), "voice"),
        (("--slots-by-turns=3,4",), "slots_by_turns"),
        (("--port=0", "--host=192.0.2.1"), "192.0.2.1"),
        (("--port=65536",), "0 to 65535"),
        (("--port=soon",), "0 to 65535"),
    ],
)
async def test_the_command_refuses_what_makes_no_sense(args: tuple[str, ...], named: str) -> None:
    """Wrong flags, values and addresses end it with 2 and one line."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", COMMAND, *args, stderr=asyncio.subprocess.PIPE)
    _, err = await process.communicate()
    assert process.returncode == 2
    assert err.decode().count("\n") == 1
    assert named in err.decode()


async def test_the_help_lists_every_option() -> None:
    """Whatever the provider can be told stands in its help, with the names of all voices."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", COMMAND, "--help", stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    text = " ".join(out.decode().split())
    assert all(f"--{name.replace('_', '-')} " in text for name in MEANINGS)
    assert "openai, azure, bare, 503, 529, gemini, openrouter, long, reset, queue" in text
