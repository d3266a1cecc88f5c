"""Promises of the demo provider over real sockets: the shapes of its answers and errors, and how a test drives it."""

import asyncio
import contextlib
import io
import json
import logging
import socket
from typing import Any

import aiohttp
import openai
import pytest

from sidecar.demo.options import BadOptionError, Options
from sidecar.demo.server import serve
from tests.support.demo_caller import CANARY, Caller


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
