"""Promises of POST /ai: what is answered with which code and status, and what is held while it is worked on."""

import asyncio
import gzip
import json
import logging

import pytest

from sidecar.core.errors import (
    DeadlineExceeded,
    EmptyResponse,
    RateLimited,
    UpstreamAuth,
    UpstreamError,
    UpstreamUnreachable,
)
from tests.support.held_provider import HeldUpstream
from tests.support.http_sidecar import CHAT, PATIENCE, Answer, Sidecar, chunks, head, post, running

STRICT = pytest.mark.parametrize("strict", [False, True], ids=["lenient", "strict"])


def chat(content: str) -> bytes:
    return json.dumps({"action": "chat", "content": content}).encode()


def sized(size: int) -> bytes:
    """A chat of exactly `size` bytes."""
    return chat("x" * (size - len(chat(""))))


def check_envelope(answer: Answer) -> None:
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "aiohttp" not in answer.headers["server"]
    assert answer.headers["x-request-id"]
    if not answer.json["success"]:
        assert set(answer.json) == {"success", "error", "code"}
        assert 0 < len(answer.json["error"]) <= 300


async def test_an_answer_is_200_with_data() -> None:
    """The one shape the deployed communicator reads."""
    async with running() as sidecar:
        answer = await sidecar.fetch(post())
    check_envelope(answer)
    assert (answer.status, answer.json) == (200, {"success": True, "data": "An answer."})
    assert "retry-after" not in answer.headers


@STRICT
@pytest.mark.parametrize(
    ("failure", "code", "status"),
    [
        (RateLimited(), "rate_limited", 429),
        (UpstreamAuth(), "upstream_auth", 502),
        (UpstreamError(), "upstream_error", 502),
        (UpstreamUnreachable(), "upstream_unreachable", 502),
        (EmptyResponse(), "empty_response", 502),
        (DeadlineExceeded(), "timeout", 504),
        (RuntimeError("canary in a fault"), "internal", 500),
    ],
    ids=str,
)
async def test_what_the_provider_did_has_its_code(failure: Exception, code: str, status: int, strict: bool) -> None:
    """200 for callers who take any error status for a dead transport, the true one with STRICT_STATUS."""
    upstream = HeldUpstream()
    upstream.failure = failure
    async with running(upstream, STRICT_STATUS=str(strict)) as sidecar:
        answer = await sidecar.fetch(post())
    check_envelope(answer)
    assert (answer.status, answer.json["code"]) == (status if strict else 200, code)
    assert b"canary" not in answer.body


@pytest.mark.parametrize(("seconds", "header"), [(None, None), (0, "1"), (7.2, "8"), (1e9, "60")])
async def test_the_providers_wait_is_passed_on(seconds: float | None, header: str | None) -> None:
    """Retry-After in whole seconds, at least one and at most sixty."""
    upstream = HeldUpstream()
    upstream.failure = RateLimited(retry_after=seconds)
    async with running(upstream) as sidecar:
        assert (await sidecar.fetch(post())).headers.get("retry-after") == header


@STRICT
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"[]",
        b'"text"',
        b"null",
        b"{} {}",
        b'{"action": "chat", "content": "\xff"}',
        b'{"action": "chat", "content": "x", "more": ' + b"[" * 100_000 + b"}",
        b"[" * 100_000,
        chat("x").decode().encode("utf-16"),
    ],
    ids=["empty", "words", "array", "string", "null", "two", "not-utf8", "nested", "brackets", "utf16"],
)
async def test_what_is_no_json_object_is_400(body: bytes, strict: bool) -> None:
    """Such a caller is broken, not burdened: 400 in both modes, and the server lives."""
    async with running(STRICT_STATUS=str(strict)) as sidecar:
        answer = await sidecar.fetch(post(body))
        check_envelope(answer)
        assert (answer.status, answer.json["code"]) == (400, "invalid_json")
        assert (await sidecar.fetch(post())).json["success"]


@STRICT
@pytest.mark.parametrize(
    ("body", "code", "named"),
    [
        (b"{}", "invalid_request", "action"),
        (b'{"action": "chat"}', "invalid_request", "content"),
        (b'{"action": "chat", "content": "  "}', "invalid_request", "content"),
        (b'{"action": "chat", "content": 7}', "invalid_request", "content"),
        (b'{"action": ["chat"], "content": "x"}', "invalid_request", "action"),
        (b'{"action": "chat", "content": "x", "context": {}}', "invalid_request", "context"),
        (b'{"action": "chat", "content": "x", "user_id": []}', "invalid_request", "user_id"),
        (b'{"action": "paint", "content": "x"}', "unknown_action", "chat"),
    ],
    ids=str,
)
async def test_a_wrong_field_is_named(body: bytes, code: str, named: str, strict: bool) -> None:
    """What was understood is answered with 200, and the sentence says which field is wrong."""
    async with running(STRICT_STATUS=str(strict)) as sidecar:
        answer = await sidecar.fetch(post(body))
    check_envelope(answer)
    assert (answer.status, answer.json["code"]) == (400 if strict else 200, code)
    assert named in answer.json["error"]


@pytest.mark.parametrize(
    "body",
    [
        b"\xef\xbb\xbf" + CHAT,
        b'{"action": "chat", "content": "a\\u0000b", "user_id": 7, "context": null}',
        b'{"action": "chat", "content": "\\ud83d\\ude00", "user_id": null, "unknown": [1]}',
    ],
    ids=["bom", "nul", "pair"],
)
async def test_odd_but_valid_requests_are_answered(body: bytes) -> None:
    """PHP sends what its users type."""
    async with running() as sidecar:
        assert (await sidecar.fetch(post(body))).json["success"]


async def test_a_lone_surrogate_gets_an_answer_that_php_can_decode() -> None:
    """Whatever is made of it, the reply is valid UTF-8 without a surrogate."""
    async with running() as sidecar:
        answer = await sidecar.fetch(post(b'{"action": "chat", "content": "\\ud800"}'))
    check_envelope(answer)
    answer.json["success"]
    answer.body.decode("utf-8", "strict")


@STRICT
@pytest.mark.parametrize(
    "headers",
    [
        (),
        ("Content-Type: text/plain",),
        ("Content-Type: application/x-www-form-urlencoded",),
        ("Content-Type: application/jsonp",),
        ("Content-Type: application/json; charset=iso-8859-1",),
        ("Content-Type: application/json; charset=utf-16",),
        ("Content-Type: application/json", "Content-Encoding: gzip"),
        ("Content-Type: application/json", "Content-Encoding: br"),
    ],
    ids=str,
)
async def test_a_body_that_is_not_declared_as_json_is_415(headers: tuple[str, ...], strict: bool) -> None:
    """Forms of strange web pages get no further, and nothing is ever unpacked."""
    async with running(STRICT_STATUS=str(strict)) as sidecar:
        answer = await sidecar.fetch(head(f"Content-Length: {len(CHAT)}", *headers) + CHAT)
        assert sidecar.upstream.calls == []
    check_envelope(answer)
    assert (answer.status, answer.json["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    "kind", ["application/json; charset=utf-8", 'Application/JSON ;charset="UTF-8"', "application/json;v=1"]
)
async def test_parameters_of_the_type_are_allowed(kind: str) -> None:
    """Clients differ in how they write it."""
    async with running() as sidecar:
        assert (await sidecar.fetch(post(kind=kind))).json["success"]


async def test_a_gzip_bomb_is_never_unpacked() -> None:
    """A few kilobytes that would be ten megabytes are refused as they are."""
    bomb = gzip.compress(sized(10_000_000))
    async with running() as sidecar:
        answer = await sidecar.fetch(post(bomb, "Content-Encoding: gzip"))
    assert answer.status == 415


@STRICT
async def test_a_body_declared_too_large_is_413_before_it_is_sent(strict: bool) -> None:
    """Its length says enough; the connection is not kept, since the body may still come."""
    async with running(MAX_BODY_BYTES="2048", STRICT_STATUS=str(strict)) as sidecar, await sidecar.call() as caller:
        await caller.send(head("Content-Type: application/json", "Content-Length: 2049"))
        answer = await caller.receive()
        assert await caller.rest() == b""
    check_envelope(answer)
    assert (answer.status, answer.json["code"], answer.headers["connection"]) == (413, "too_large", "close")


async def test_the_largest_body_is_taken() -> None:
    """MAX_BODY_BYTES itself is allowed, in one piece and in chunks."""
    async with running(MAX_BODY_BYTES="200000", QUEUE_BYTES="200000") as sidecar:
        assert (await sidecar.fetch(post(sized(200_000)))).json["success"]
        start = head("Content-Type: application/json", "Transfer-Encoding: chunked")
        half = sized(200_000)
        assert (await sidecar.fetch(start + chunks(half[:150_000], half[150_000:]))).json["success"]
        assert sidecar.service.admission.held_bytes == 0


async def test_a_body_in_chunks_is_413_once_it_is_too_large() -> None:
    """Who does not say the length is counted."""
    async with running(MAX_BODY_BYTES="2048") as sidecar, await sidecar.call() as caller:
        await caller.send(head("Content-Type: application/json", "Transfer-Encoding: chunked"))
        await caller.send(b"800\r\n" + b"x" * 2048 + b"\r\n")
        await caller.send(b"1\r\nx\r\n")
        answer = await caller.receive()
    assert (answer.status, answer.json["code"]) == (413, "too_large")


async def curl(sidecar: Sidecar, body: bytes, *options: str) -> tuple[int, str, dict[str, object]]:
    """What curl makes of posting `body`: its exit code, the status and the reply."""
    process = await asyncio.create_subprocess_exec(
        *("curl", "-sS", "-m", str(PATIENCE), "-w", "\n%{http_code}", "--data-binary", "@-"),
        *("-H", "Content-Type: application/json", *options, f"{sidecar.listening.url}/ai"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate(body)
    reply, _, status = output.decode().rpartition("\n")
    return process.returncode or 0, status, json.loads(reply)


@pytest.mark.parametrize(
    "options", [("-H", "Expect:"), (), ("-H", "Transfer-Encoding: chunked")], ids=["sends", "asks", "chunked"]
)
async def test_curl_with_nine_megabytes_reads_its_413(options: tuple[str, ...]) -> None:
    """Whether it asks first, sends at once or in chunks: JSON and no reset connection."""
    async with running() as sidecar:
        assert await curl(sidecar, sized(9_000_000), *options) == (
            0,
            "413",
            {"success": False, "error": "The request is larger than 4194304 bytes.", "code": "too_large"},
        )


async def test_curl_reads_overloaded_while_it_sends_megabytes() -> None:
    """A 200 that comes before the body is sent does not stop curl; what it sends is thrown away, not reset."""
    async with running(QUEUE_SIZE="1") as sidecar:
        with sidecar.service.admission.admit():
            code, status, reply = await curl(sidecar, sized(4_000_000), "-H", "Expect:")
    assert (code, status, reply["code"]) == (0, "200", "overloaded")


async def test_curl_with_four_megabytes_is_served() -> None:
    """What fits is answered, with and without asking first."""
    async with running() as sidecar:
        for options in (("-H", "Expect:"), ("-H", "Expect: 100-continue")):
            assert (await curl(sidecar, sized(4_000_000), *options))[2]["success"] is True


async def test_expect_continue_is_answered_once_the_request_has_a_place() -> None:
    """`100 Continue` comes before the body, the answer after it."""
    async with running() as sidecar, await sidecar.call() as caller:
        await caller.send(
            head("Content-Type: application/json", f"Content-Length: {len(CHAT)}", "Expect: 100-continue")
        )
        assert (await caller.receive()).status == 100
        assert sidecar.service.admission.held_bytes == len(CHAT)
        await caller.send(CHAT)
        assert (await caller.receive()).json["success"]


@STRICT
async def test_a_full_queue_refuses_at_once_without_the_body(strict: bool) -> None:
    """Headers are enough for an `overloaded` with Retry-After; no invitation to send precedes it."""
    async with running(QUEUE_SIZE="1", STRICT_STATUS=str(strict)) as sidecar, await sidecar.call() as caller:
        with sidecar.service.admission.admit():
            await caller.send(head("Content-Type: application/json", "Content-Length: 99", "Expect: 100-continue"))
            answer = await caller.receive()
    check_envelope(answer)
    assert (answer.status, answer.json["code"]) == (503 if strict else 200, "overloaded")
    assert (answer.headers["retry-after"], answer.headers["connection"]) == ("1", "close")


async def test_a_refused_caller_whose_body_is_here_keeps_the_connection() -> None:
    """A burst of refusals costs no new connections."""
    async with running(QUEUE_SIZE="1") as sidecar, await sidecar.call() as caller:
        with sidecar.service.admission.admit():
            await caller.send(post())
            assert (await caller.receive()).json["code"] == "overloaded"
        await caller.send(post())
        assert (await caller.receive()).json["success"]


async def test_bytes_are_reserved_from_the_declared_length() -> None:
    """QUEUE_BYTES holds before a body is read: its bytes are taken before the caller sends them."""
    async with running(MAX_BODY_BYTES="2048", QUEUE_BYTES="3000") as sidecar, await sidecar.call() as first:
        await first.send(head("Content-Type: application/json", "Content-Length: 2000", "Expect: 100-continue"))
        assert (await first.receive()).status == 100
        assert (await sidecar.fetch(post(sized(1001)))).json["code"] == "overloaded"
        assert (await sidecar.fetch(post(sized(1000)))).json["success"]


async def test_a_chunked_body_reserves_as_it_grows_and_then_what_it_is() -> None:
    """While the engine works, exactly the body's bytes are held; where they are not free, it is `overloaded`."""
    upstream = HeldUpstream(held=True)
    start = head("Content-Type: application/json", "Transfer-Encoding: chunked")
    async with (
        running(upstream, MAX_BODY_BYTES="100000", QUEUE_BYTES="150000") as sidecar,
        await sidecar.call() as first,
        await sidecar.call() as second,
    ):
        await first.send(start + chunks(sized(90_000)))
        await upstream.reached()
        assert sidecar.service.admission.held_bytes == 90_000
        await second.send(start + b"%x\r\n" % 90_000 + b"x" * 70_000)
        answer = await second.receive()
        assert answer.json["code"] == "overloaded"
        upstream.gate.set()
        assert (await first.receive()).json["success"]
        assert sidecar.service.admission.held_bytes == 0


async def test_a_caller_who_leaves_frees_slot_and_place() -> None:
    """Nobody pays for an answer that nobody reads."""
    upstream = HeldUpstream(held=True)
    async with running(upstream) as sidecar:
        async with await sidecar.call() as caller:
            await caller.send(post())
            await upstream.reached()
        async with asyncio.timeout(PATIENCE):
            await upstream.left.wait()
            await sidecar.service.admission.emptied()
        assert (upstream.running, sidecar.service.admission.held_bytes) == (0, 0)


async def test_a_caller_who_leaves_while_sending_frees_the_place() -> None:
    """Half a body holds nothing once its sender is gone."""
    async with running() as sidecar:
        async with await sidecar.call() as caller:
            await caller.send(head("Content-Type: application/json", "Content-Length: 99", "Expect: 100-continue"))
            assert (await caller.receive()).status == 100
            assert sidecar.service.admission.held == 1
        async with asyncio.timeout(PATIENCE):
            await sidecar.service.admission.emptied()


async def test_identical_summaries_give_their_places_back_once() -> None:
    """However work is shared, what is held ends at nothing."""
    upstream = HeldUpstream(held=True)
    body = b'{"action": "summarize", "content": "A text about fractions."}'
    async with running(upstream) as sidecar, await sidecar.call() as first, await sidecar.call() as second:
        await first.send(post(body))
        await upstream.reached()
        await second.send(post(body))
        while not sidecar.service.kernel.flights.joined:
            await sidecar.fetch(head(path="/health", method="GET"))
        upstream.gate.set()
        assert (await first.receive()).json["success"]
        assert (await second.receive()).json["success"]
        assert (sidecar.service.admission.held, sidecar.service.admission.held_bytes) == (0, 0)


@STRICT
async def test_the_deadline_is_answered(strict: bool) -> None:
    """A provider that says nothing costs the caller REQUEST_TIMEOUT and no more."""
    async with running(HeldUpstream(held=True), REQUEST_TIMEOUT="0.1", STRICT_STATUS=str(strict)) as sidecar:
        answer = await sidecar.fetch(post())
    assert (answer.status, answer.json["code"]) == (504 if strict else 200, "timeout")


async def test_a_request_that_comes_after_its_deadline_is_a_timeout() -> None:
    """Its time counts from accept; a queue with room is not blamed."""
    async with running(HeldUpstream(held=True), REQUEST_TIMEOUT="0.1") as sidecar, await sidecar.call() as late:
        assert (await sidecar.fetch(post())).json[
            "code"
        ] == "timeout"  # accepted later, so the other's time is over too
        await late.send(post())
        assert (await late.receive()).json["code"] == "timeout"


@pytest.mark.parametrize(
    ("path", "header"), [("/ai", "X-Request-Timeout: 0.1"), ("/ai?deadline=0.1", "X-Request-Timeout: 60")]
)
async def test_a_caller_may_shorten_the_deadline(path: str, header: str) -> None:
    """Who cannot wait as long says so, in a header or in the address."""
    async with running(HeldUpstream(held=True)) as sidecar:
        assert (await sidecar.fetch(post(CHAT, header, path=path))).json["code"] == "timeout"


@pytest.mark.parametrize("asked", ["600", "0", "-1", "soon", "nan", "inf", "1e9", ""])
async def test_a_caller_cannot_lengthen_the_deadline(asked: str) -> None:
    """More than REQUEST_TIMEOUT is not to be had, and nonsense is ignored."""
    async with running(HeldUpstream(held=True), REQUEST_TIMEOUT="0.1") as sidecar:
        request = post(CHAT, f"X-Request-Timeout: {asked}", path=f"/ai?deadline={asked}")
        assert (await sidecar.fetch(request)).json["code"] == "timeout"


@STRICT
async def test_a_body_that_does_not_come_in_time_is_408(strict: bool) -> None:
    """A slow sender is told so at the deadline, and its place is free."""
    async with running(REQUEST_TIMEOUT="0.1", STRICT_STATUS=str(strict)) as sidecar, await sidecar.call() as caller:
        await caller.send(head("Content-Type: application/json", "Content-Length: 99") + b'{"action":')
        answer = await caller.receive()
        assert await caller.rest() == b""
        assert sidecar.service.admission.held == 0
    check_envelope(answer)
    assert (answer.status, answer.json["code"]) == (408, "request_timeout")


async def test_bad_chunks_are_refused_at_once() -> None:
    """A body that nobody can parse any more is not waited for."""
    async with running() as sidecar, await sidecar.call() as caller:
        await caller.send(head("Content-Type: application/json", "Transfer-Encoding: chunked", "Expect: 100-continue"))
        assert (await caller.receive()).status == 100
        await caller.send(b"no chunk\r\n")
        answer = await caller.receive()
        assert await caller.rest() == b""
        assert sidecar.service.admission.held == 0
    check_envelope(answer)
    assert (answer.status, answer.json["code"]) == (400, "bad_request")


async def test_a_sane_request_id_is_the_callers() -> None:
    """Operators follow one request through their logs; an insane one is replaced."""
    async with running() as sidecar:
        for asked, taken in (("moodle:42.a_b-c", True), ("a" * 128, True), ("a" * 129, False), ("a b", False)):
            answer = await sidecar.fetch(post(CHAT, f"X-Request-ID: {asked}"))
            assert (answer.headers["x-request-id"] == asked) is taken


async def test_no_text_and_no_token_reaches_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Every path logs what happened and never what was said."""
    caplog.set_level(logging.DEBUG)
    upstream = HeldUpstream(text="canary-answer")
    secret = "Authorization: Bearer canary-token"
    async with running(
        upstream, SIDECAR_TOKEN="canary-token", AI_REQUIRE_TOKEN="true", MAX_BODY_BYTES="2048"
    ) as sidecar:
        for request in (
            post(chat("canary-text"), secret),
            post(chat("canary-text"), "Authorization: Bearer canary-guess"),
            post(b'{"canary-text', secret),
            post(b'{"action": "canary-text", "content": "x"}', secret),
            post(chat("canary-text"), secret, kind="text/canary-text"),
            post(chat("canary-text" * 999), secret),
            post(chat("canary-text"), secret, path="/canary-text"),
            b"canary-text\r\n\r\n",
            b"GET /canary-text HTTP/1.1\r\ncanary-text\r\n\r\n",
            head("canary-text: " + "canary-text" * 9999),
        ):
            await sidecar.fetch(request)
        upstream.failure = RuntimeError("canary-text")
        await sidecar.fetch(post(chat("canary-text"), secret))
    assert any(record.msg == "refused" for record in caplog.records)
    assert any(record.msg == "internal" for record in caplog.records)
    assert "canary" not in "".join(str(record.__dict__) for record in caplog.records)
