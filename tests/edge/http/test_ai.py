"""Promises of POST /ai: what is answered, with which code and status."""

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
from tests.support.ai_requests import STRICT, chat, check_envelope
from tests.support.held_provider import HeldUpstream
from tests.support.http_sidecar import CHAT, head, post, running


async def test_an_answer_is_200_with_data() -> None:
    """The one shape the deployed communicator reads."""
    async with running() as sidecar:
        answer = await sidecar.fetch(post())
    check_envelope(answer)
    assert (answer.status, answer.json) == (200, {"success": True, "data": "An answer.", "error": None})
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
