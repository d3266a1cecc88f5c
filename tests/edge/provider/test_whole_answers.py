"""What every client promises about one whole answer, whatever the provider says."""

import asyncio
import gzip
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from sidecar.core.errors import (
    ContextExceeded,
    DeadlineExceeded,
    EmptyResponse,
    ModelUnknown,
    RateLimited,
    SidecarError,
    UpstreamAuth,
    UpstreamError,
    UpstreamFailure,
    UpstreamUnreachable,
)
from sidecar.demo.server import Demo, serve
from tests.support.scripted_provider import (
    KEY,
    Adapter,
    call,
    canned,
    completed,
    completion,
    every_adapter,
    failing,
    http,
    opened,
    refused,
    soon,
)

pytestmark = every_adapter


@pytest.fixture
async def demo() -> AsyncIterator[Demo]:
    async with serve(keep=10) as running:
        yield running


async def test_an_answer_comes_with_its_text_counts_and_body(adapter: Adapter, demo: Demo) -> None:
    """Text, model, finish reason and token counts are read, and the body is kept for doors that pass it on."""
    async with opened(adapter, f"{demo.url}/v1") as upstream:
        answer = await completed(upstream, call(user="somebody"))
    assert "fraction" in answer.text
    assert answer.model == "m"
    assert answer.prompt_tokens > 0
    assert answer.completion_tokens > 0
    assert answer.body["object"] == "chat.completion"
    assert demo.stats.by_user == {"somebody": 1}


async def test_the_request_has_what_the_provider_needs_and_no_more(adapter: Adapter) -> None:
    """The key goes as a bearer token, the program by its name, and nothing about this machine."""
    async with canned() as provider, opened(adapter, provider.url) as upstream:
        await completed(upstream)
    [heard] = provider.received
    assert heard.line == "POST /v1/chat/completions HTTP/1.1"
    assert heard.headers["authorization"] == f"Bearer {KEY}"
    assert heard.headers["user-agent"].startswith("openai-moodle-sidecar/")
    assert heard.headers["accept-encoding"] == "identity"
    assert not [name for name in heard.headers if name.startswith("x-")]
    assert heard.json == {
        "model": "m",
        "messages": [{"role": "user", "content": "What is a fraction?"}],
        "max_tokens": 20,
    }


async def test_the_query_string_of_the_base_url_is_preserved(adapter: Adapter) -> None:
    """Gateways take versions and keys there."""
    async with canned() as provider, opened(adapter, f"{provider.url}/?api-version=2%2F1&x=%41") as upstream:
        await completed(upstream)
    assert provider.received[0].line == "POST /v1/chat/completions?api-version=2%2F1&x=%41 HTTP/1.1"


async def test_half_a_surrogate_pair_in_a_text_does_not_stop_the_call(adapter: Adapter) -> None:
    """It goes out as a replacement character: JSON parsers refuse it."""
    async with canned() as provider, opened(adapter, provider.url) as upstream:
        await completed(upstream, call("a\ud83db"))
    assert provider.received[0].json["messages"][0]["content"] == "a\N{REPLACEMENT CHARACTER}b"


@pytest.mark.parametrize(
    ("garbage", "kind", "words"),
    [
        ("html", UpstreamError, "web page"),
        ("text", UpstreamError, "not JSON"),
        ("empty", EmptyResponse, "without any content"),
        ("truncated", UpstreamError, "cut off"),
        ("array", UpstreamError, "not a chat completion"),
        ("nochoices", UpstreamError, "no message"),
        ("wrongtypes", UpstreamError, "no message"),
        ("huge", UpstreamError, "larger than 16 MiB"),
    ],
)
async def test_an_answer_that_is_none_is_named(
    adapter: Adapter, demo: Demo, garbage: str, kind: type[UpstreamFailure], words: str
) -> None:
    """Each kind of nonsense ends in an error whose sentence says what came; it was paid for, so no retry."""
    demo.behave(garbage=garbage)
    async with opened(adapter, demo.url) as upstream:
        failure = await failing(upstream)
        demo.behave(garbage=None)
        assert (await completed(upstream)).text
    assert type(failure) is kind
    assert words in str(failure)
    assert not failure.retryable


@pytest.mark.parametrize("garbage", ["multipart", "refusal", "surrogate", "nul"])
async def test_an_unusual_answer_is_still_read(adapter: Adapter, demo: Demo, garbage: str) -> None:
    """Parts are joined, a refusal's words are the answer, and odd characters are mended."""
    demo.behave(garbage=garbage)
    async with opened(adapter, demo.url) as upstream:
        answer = await completed(upstream)
    assert ("I cannot help" if garbage == "refusal" else "fraction") in answer.text


@pytest.mark.parametrize("message", [{"content": None}, {"content": " \n"}, {"content": []}, {}])
async def test_an_answer_without_text_is_an_empty_response(adapter: Adapter, message: dict[str, Any]) -> None:
    """Null, blank and missing contents are the same to a reader."""
    async with canned(http(completion(message))) as provider, opened(adapter, provider.url) as upstream:
        assert type(await failing(upstream)) is EmptyResponse


@pytest.mark.parametrize(
    ("status", "kind", "retryable"),
    [
        (301, UpstreamError, False),
        (400, UpstreamError, False),
        (401, UpstreamAuth, False),
        (403, UpstreamError, False),
        (404, ModelUnknown, False),
        (408, UpstreamError, False),
        (413, ContextExceeded, False),
        (429, RateLimited, True),
        (500, UpstreamError, False),
        (502, UpstreamError, False),
        (503, UpstreamError, True),
        (504, UpstreamError, False),
        (529, UpstreamError, True),
    ],
)
async def test_each_status_is_the_right_error(
    adapter: Adapter, demo: Demo, status: int, kind: type[UpstreamFailure], retryable: bool
) -> None:
    """Status → error, with the status kept, and only what cost nothing may be tried again."""
    demo.behave(status=status)
    async with opened(adapter, demo.url) as upstream:
        failure = await failing(upstream)
    assert (type(failure), failure.status, failure.retryable) == (kind, status, retryable)


async def test_a_redirect_is_not_followed(adapter: Adapter) -> None:
    """Texts go to the configured host only; the sentence names the setting to check."""
    async with canned() as other:
        moved = http(b"", 307, Location=other.url)
        async with canned(moved) as provider, opened(adapter, provider.url) as upstream:
            failure = await failing(upstream)
    assert "OPENAI_BASE_URL" in str(failure)
    assert not other.received


async def test_retry_after_is_passed_on(adapter: Adapter, demo: Demo) -> None:
    """The provider knows best when to come back."""
    demo.behave(status=429, retry_after=7)
    async with opened(adapter, demo.url) as upstream:
        assert (await failing(upstream)).retry_after == pytest.approx(7)


async def test_a_used_up_quota_is_final(adapter: Adapter, demo: Demo) -> None:
    """No waiting cures it, and the whole account is meant."""
    demo.behave(quota=True)
    async with opened(adapter, demo.url) as upstream:
        failure = await failing(upstream)
    assert (type(failure), failure.retryable, failure.scope) == (RateLimited, False, "account")


@pytest.mark.parametrize(("limit", "allowed"), [("rpm", 1), ("tpm", 30)])
async def test_a_limit_a_minute_is_a_refusal_for_want_of_room(
    adapter: Adapter, demo: Demo, limit: str, allowed: int
) -> None:
    """Its words decide nothing, and the wait that it names is passed on."""
    demo.behave(**{limit: allowed})
    async with opened(adapter, demo.url) as upstream:
        await completed(upstream)
        failure = await failing(upstream)
    assert (type(failure), failure.scope, failure.retryable) == (RateLimited, "capacity", True)
    assert failure.retry_after


async def test_a_limit_on_calls_at_once_is_a_refusal_for_want_of_room(adapter: Adapter, demo: Demo) -> None:
    """A provider that is full for the moment may take the next one."""
    demo.behave(slots=1, stall=1)
    async with opened(adapter, demo.url) as upstream:
        stalled = asyncio.create_task(completed(upstream))
        await demo.until(lambda stats: stats.stalled == 1)
        failure = await failing(upstream)
        stalled.cancel()
        await asyncio.wait([stalled])
    assert (type(failure), failure.scope, failure.retryable) == (RateLimited, "capacity", True)


async def test_the_newer_limit_is_learned_from_one_refusal(adapter: Adapter, demo: Demo) -> None:
    """A model that wants max_completion_tokens gets it within the same attempt, and at once from then on."""
    demo.behave(no_max_tokens=True)
    async with opened(adapter, demo.url) as upstream:
        await completed(upstream)
        await completed(upstream)
        await completed(upstream, call(model="another"))
    assert demo.stats.by_outcome == {"invalid": 2, "answered": 3}
    sent = [sorted(heard.json().keys() & {"max_tokens", "max_completion_tokens"}) for heard in demo.received]
    old, new = ["max_tokens"], ["max_completion_tokens"]
    assert sent == [old, new, new, old, new]


async def test_dialects_are_learned_once_a_model(adapter: Adapter, caplog: pytest.LogCaptureFixture) -> None:
    """Refused names one after the other, then an answer: the next call is right at once, and the log says why."""
    caplog.set_level(logging.INFO, "sidecar")
    refusals = (
        refused("System role not supported", 400),
        http({"detail": [{"type": "extra_forbidden", "loc": ["body", "user"], "msg": "Extra inputs"}]}, 422),
    )
    asked = msgspec.structs.replace(
        call(user="hash"), messages=[{"role": "system", "content": "Be kind."}, *call().messages]
    )
    async with canned(*refusals, http()) as provider, opened(adapter, provider.url) as upstream:
        assert (await completed(upstream, asked)).text == "Hello."
        assert (await completed(upstream, asked)).text == "Hello."
        assert upstream.learned() == ("no system role", "no field user")
        assert len(provider.received) == 4
        sent = provider.received[3].json
    assert sent["messages"] == [{"role": "user", "content": "Be kind.\n\nWhat is a fraction?"}]
    assert "user" not in sent
    lines = [record.__dict__["fields"] for record in caplog.records if record.getMessage() == "dialect"]
    assert lines == [{"model": "m", "learned": name} for name in ("no system role", "no field user")]


async def test_a_packed_bomb_is_no_answer(adapter: Adapter) -> None:
    """A good answer is unpacked to the bound that holds for every answer."""
    bomb = gzip.compress(b" " * 2**25)
    async with canned(http(bomb, Content_Encoding="gzip")) as provider, opened(adapter, provider.url) as upstream:
        assert "larger than 16 MiB" in str(await failing(upstream))


async def test_a_gateway_without_servers_says_so_alike(adapter: Adapter) -> None:
    """One code, one sentence, and a wait that agrees with it."""
    none = refused("No available workers (all circuits open or unhealthy)", 503)
    async with canned(none) as provider, opened(adapter, provider.url) as upstream:
        failure = await failing(upstream)
    assert (type(failure), failure.retryable, failure.retry_after) == (UpstreamError, True, 60.0)
    assert "in a minute" in str(failure)


async def test_a_text_over_the_context_names_the_size(adapter: Adapter) -> None:
    """The engine splits a summary by it."""
    no = refused("This model's maximum context length is 8,192 tokens.", 400)
    async with canned(no) as provider, opened(adapter, provider.url) as upstream:
        failure = await failing(upstream)
    assert isinstance(failure, ContextExceeded)
    assert failure.limit == failure.again().limit == 8192


async def test_a_second_refusal_of_the_limit_is_the_answer(adapter: Adapter) -> None:
    """One mended try, not a loop; what did not help is not remembered."""
    no = refused("Unsupported parameter: use max_completion_tokens instead of max_tokens.", 400)
    async with canned(no) as provider, opened(adapter, provider.url) as upstream:
        await failing(upstream)
        assert len(provider.received) == 2
        await failing(upstream)
    assert "max_tokens" in provider.received[2].json


@pytest.mark.parametrize("where", ["before", "headers", "body"])
async def test_a_cut_connection_is_named(adapter: Adapter, demo: Demo, where: str) -> None:
    """On a fresh connection the provider may have begun to work, so none of these is tried again."""
    demo.behave(cut=where)
    async with opened(adapter, demo.url) as upstream:
        failure = await failing(upstream)
    assert type(failure) is (UpstreamUnreachable if where == "before" else UpstreamError)
    assert not failure.retryable


async def test_a_silent_provider_ends_at_the_deadline_and_is_left(adapter: Adapter, demo: Demo) -> None:
    """The caller is answered on time, and the provider sees the connection close."""
    async with opened(adapter, demo.url) as upstream:
        await completed(upstream)
        demo.behave(stall=1)
        deadline = soon(0.2)
        with pytest.raises(DeadlineExceeded):
            await upstream.complete(call(), deadline=deadline)
        assert 0 <= asyncio.get_running_loop().time() - deadline < 10
        await demo.until(lambda stats: stats.cancelled == 1)


async def test_an_expired_deadline_costs_no_call(adapter: Adapter, demo: Demo) -> None:
    """Nothing is sent for a caller who has gone already, not even on a kept connection."""
    async with opened(adapter, demo.url) as upstream:
        await completed(upstream)
        with pytest.raises(DeadlineExceeded):
            await upstream.complete(call(), deadline=soon(-1))
        with pytest.raises(DeadlineExceeded):
            await anext(upstream.stream(call(), deadline=soon(-1)))
        await completed(upstream)
    assert demo.stats.received == 2


async def test_a_dripping_answer_ends_at_the_deadline(adapter: Adapter, demo: Demo) -> None:
    """The deadline is for the whole answer, not for each byte."""
    demo.behave(drip=0.05)
    async with opened(adapter, demo.url) as upstream:
        with pytest.raises(DeadlineExceeded):
            await upstream.complete(call(), deadline=soon(0.3))
        await demo.until(lambda stats: stats.cancelled == 1)


async def test_a_cancelled_call_frees_the_provider(adapter: Adapter, demo: Demo) -> None:
    """A caller who leaves takes the model call along, and the next caller is served."""
    demo.behave(stall=1)
    async with opened(adapter, demo.url) as upstream:
        task = asyncio.create_task(completed(upstream))
        await demo.until(lambda stats: stats.stalled == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await demo.until(lambda stats: stats.cancelled == 1 and stats.in_flight == 0)
        demo.behave(stall=0)
        assert (await completed(upstream)).text


async def test_a_packed_refusal_is_read_all_the_same(adapter: Adapter) -> None:
    """Some gateways pack although identity is asked for (backend.ai#5771); a bomb is read to its bound."""
    said = gzip.compress(json.dumps({"error": {"message": "x", "code": "insufficient_quota"}}).encode())
    bomb = gzip.compress(b"x" * 2**26)
    answers = http(said, 429, Content_Encoding="gzip"), http(bomb, 503, Content_Encoding="gzip")
    async with canned(*answers) as provider, opened(adapter, provider.url) as upstream:
        assert (await failing(upstream)).scope == "account"
        assert (await failing(upstream)).scope == "capacity"


async def test_an_endless_error_page_is_not_read_to_its_end(adapter: Adapter) -> None:
    """Of a refusal 64 KiB are read; the rest is left on the wire."""
    endless = http(b"x" * 2**20, 500, Content_Length=str(2**40))
    async with canned(endless) as provider, opened(adapter, provider.url) as upstream:
        failure = await failing(upstream)
        assert failure.status == 500
        async with asyncio.timeout(10):
            await provider.left.wait()


async def test_the_key_is_in_no_error_and_no_repr(adapter: Adapter) -> None:
    """A provider that quotes the key, whole or masked, does not get it into a browser or a log."""
    answers = [
        refused(f"Bad key {shown} here", status) for status in (400, 401, 500) for shown in (KEY, KEY[:9], KEY[4:])
    ]
    async with canned(*answers) as provider, opened(adapter, provider.url) as upstream:
        for _ in answers:
            failure: SidecarError = await failing(upstream)
            assert "canary" not in f"{failure} {failure!r} {upstream!r}"


async def test_a_users_text_is_not_quoted_back(adapter: Adapter) -> None:
    """A provider's error that repeats the prompt is told without its words."""
    text = "Anna wrote that her neighbour\nis very ill this week."
    said = f"cannot process: {' '.join(text.split())}"
    answers = refused(said, 500), refused("Worker 7 crashed.", 500)
    async with canned(*answers) as provider, opened(adapter, provider.url) as upstream:
        assert "neighbour" not in str(await failing(upstream, call(text)))
        assert "Worker 7 crashed." in str(await failing(upstream, call(text)))
