"""Every no on the OpenAI-compatible routes, found by walking routes and errors: its status, and `error.message`."""

import asyncio
import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from sidecar.core import errors
from sidecar.core.errors import JobsUnavailable, SidecarError, UnknownAction, UpstreamFailure
from sidecar.http.responses.openai_errors import refuse
from sidecar.http.router import Route, Routes
from sidecar.http.server.server import routes_of
from sidecar.service import service_of
from tests.support.event_streams import body, chat_request
from tests.support.held_provider import HeldUpstream
from tests.support.http_sidecar import PATIENCE, Answer, Sidecar, chunks, head, post, running, settings_of

STATUSES = {
    "invalid_json": 400,
    "invalid_request": 400,
    "unknown_action": 400,
    "bad_request": 400,
    "http_version": 505,
    "wrong_host": 421,
    "unauthorized": 401,
    "not_found": 404,
    "model_not_found": 404,
    "method_not_allowed": 405,
    "request_timeout": 408,
    "too_large": 413,
    "unsupported_media_type": 415,
    "overloaded": 429,
    "rate_limited": 429,
    "limited": 429,
    "internal": 500,
    "upstream_auth": 502,
    "upstream_error": 502,
    "upstream_unreachable": 502,
    "empty_response": 502,
    "shutting_down": 503,
    "jobs_unavailable": 503,
    "timeout": 504,
}


def routes() -> Routes:
    settings = settings_of()
    return routes_of(service_of(settings, HeldUpstream()), settings, None)


def ours() -> list[tuple[str, Route]]:
    """The routes whose callers expect OpenAI's shape."""
    return [(path, route) for path, route in routes() if route.refuse is refuse]


SAMPLES = [path.replace("{", "a").replace("}", "z") for path, _ in ours()]
"""An address for each of them."""
CHATS = [path for path in SAMPLES if path.endswith("/chat/completions")]


def kinds(error: type[SidecarError] = SidecarError) -> Iterator[type[SidecarError]]:
    yield error
    for kind in error.__subclasses__():
        yield from kinds(kind)


def check(answer: Answer, *, bodiless: bool = False) -> None:
    """What Moodle and the SDKs read of a no."""
    assert answer.status >= 400
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"]
    assert answer.headers["x-should-retry"] == "false"
    if answer.status == 429:
        assert 1 <= int(answer.headers["retry-after"]) <= 60
    if bodiless:
        return
    assert set(answer.json) == {"error"}
    error: dict[str, Any] = answer.json["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert isinstance(error["message"], str)
    assert 0 < len(error["message"]) <= 300
    assert isinstance(error["type"], str)
    if answer.status != 431:
        assert STATUSES[error["code"]] == answer.status


def test_every_error_of_the_tree_has_its_shape_at_every_route() -> None:
    """One that is added tomorrow too."""
    for (_, route), kind in itertools.product(ours(), kinds()):
        response = route.refuse(kind())
        headers = {name.lower(): value for name, value in response.headers.items()}
        assert isinstance(response.body, bytes)
        check(Answer("", response.status, headers | {"x-request-id": "r"}, response.body))


async def settled(sidecar: Sidecar, raw: bytes, *, bodiless: bool = False) -> Answer:
    async with await sidecar.call() as caller:
        await caller.send(raw)
        return await caller.receive(head=bodiless)


LENGTH = "Content-Length: 9"
JSON = "Content-Type: application/json"
CHUNKED = "Transfer-Encoding: chunked"
NINE = b"x" * 9
REQUESTS: dict[str, tuple[tuple[str, ...], bytes]] = {
    "good": ((JSON, f"Content-Length: {len(body())}"), body()),
    "no body": ((), b""),
    "no type": ((LENGTH,), NINE),
    "form": ((LENGTH, "Content-Type: text/plain"), NINE),
    "compressed": ((LENGTH, JSON, "Content-Encoding: gzip"), NINE),
    "no JSON": ((LENGTH, JSON), NINE),
    "a list": (("Content-Length: 2", JSON), b"[]"),
    "empty": (("Content-Length: 2", JSON), b"{}"),
    "too large": (("Content-Length: 9999", JSON), b""),
    "much too large": (("Content-Length: 99999999999", JSON), b""),
    "chunks too large": ((JSON, CHUNKED), chunks(b"x" * 5000)),
    "bad chunks": ((JSON, CHUNKED), b"zz\r\n"),
    "bad length": ((JSON, "Content-Length: nine"), b""),
    "two lengths": ((JSON, LENGTH, "Content-Length: 8"), b""),
    "both": ((JSON, LENGTH, CHUNKED), b""),
    "bad header": ((JSON, "no header at all"), b""),
    "long header": ((JSON, f"X-Long: {'x' * 20_000}"), b""),
    "many headers": (tuple(f"X-{number}: {number}" for number in range(2000)), b""),
}
METHODS = ("GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH", "X")


def request(name: str, path: str, method: str) -> bytes:
    headers, after = REQUESTS[name]
    return head(*headers, path=path, method=method) + after


@pytest.mark.parametrize("request_name", REQUESTS)
async def test_any_request_to_any_route_is_answered_or_refused_in_shape(request_name: str) -> None:
    """Every route with every method and every way to be wrong."""
    async with running(MAX_BODY_BYTES="2048") as sidecar:
        for path, method in itertools.product(SAMPLES, METHODS):
            bodiless = method == "HEAD"
            answer = await settled(sidecar, request(request_name, path, method), bodiless=bodiless)
            if answer.status != 200:
                check(answer, bodiless=bodiless and not answer.body)
            elif method == "POST":
                assert request_name == "good"
                assert path in CHATS


@pytest.mark.parametrize("path", SAMPLES)
async def test_a_request_line_that_is_none_is_refused_in_shape(path: str) -> None:
    """Where the path can be read in it."""
    async with running() as sidecar:
        for line in (f"POST {path}?{'x' * 20_000} HTTP/1.1", f"GET {path} HTTP/x.y", f"POST {path} twice HTTP/1.1"):
            check(await settled(sidecar, f"{line}\r\n\r\n".encode()))


@pytest.mark.parametrize("path", SAMPLES)
async def test_a_missing_token_is_refused_in_shape(path: str) -> None:
    """Or the address does not exist, or not with that method."""
    async with running(SIDECAR_TOKEN="canary") as sidecar:
        for method in ("GET", "POST"):
            answer = await settled(sidecar, request("good", path, method))
            check(answer)
            assert answer.status in {401, 404, 405}


@pytest.mark.parametrize("kind", [kind for kind in kinds() if kind.__module__ == errors.__name__])
async def test_whatever_the_provider_does_is_refused_in_shape(kind: type[SidecarError]) -> None:
    """On every route that asks it, whole and streamed, shared and not."""
    for path, stream, query in itertools.product(CHATS, (False, True), ("", "?action=summarize")):
        upstream = HeldUpstream()
        upstream.failure = kind()
        async with running(upstream) as sidecar:
            # No description says what no provider does.
            described = kind not in {UnknownAction, JobsUnavailable}
            answer = await sidecar.fetch(chat_request(path=path + query, stream=stream), described=described)
            check(answer)
            assert answer.json["error"]["code"] == kind.code


@pytest.mark.parametrize("path", ["//v1/chat/completions", "/v1//chat/completions", "/chat", "/openai", "/v1/x/"])
async def test_a_mistyped_address_is_refused_in_shape(path: str) -> None:
    """A slash too many passes nginx as it is; Moodle would break on an error that is a mere sentence."""
    async with running() as sidecar:
        answer = await sidecar.fetch(chat_request(path=path))
    check(answer)
    assert answer.status == 404


async def test_a_fault_of_ours_is_refused_in_shape() -> None:
    """And says nothing of it."""
    upstream = HeldUpstream()
    upstream.failure = ValueError("canary")
    async with running(upstream) as sidecar:
        answer = await sidecar.fetch(chat_request())
    check(answer)
    assert (answer.status, b"canary" in answer.body) == (500, False)


@pytest.mark.parametrize("path", CHATS)
async def test_a_full_queue_is_429_with_a_small_integer(path: str) -> None:
    """Moodle goes to its next provider."""
    async with running(QUEUE_SIZE="1") as sidecar:
        with sidecar.service.admission.admit():
            answer = await sidecar.fetch(chat_request(path=path))
    check(answer)
    assert (answer.status, answer.headers["retry-after"]) == (429, "1")


@pytest.mark.parametrize("seconds", [None, 0.0, 7.2, 1e9])
async def test_a_providers_limit_is_429_with_a_small_integer(seconds: float | None) -> None:
    """Whether it said how long or not."""
    upstream = HeldUpstream()
    upstream.failure = errors.RateLimited(retry_after=seconds)
    async with running(upstream) as sidecar:
        answer = await sidecar.fetch(chat_request())
    check(answer)
    assert answer.status == 429


@pytest.mark.parametrize("path", CHATS)
async def test_a_draining_server_is_503(path: str) -> None:
    """For as long as it listens: never a closed connection without a word."""
    async with running() as sidecar:
        await sidecar.listening.drain(0)
        answer = await sidecar.fetch(chat_request(path=path))
        check(answer)
        assert (answer.status, answer.headers["connection"]) == (503, "close")
        assert (await sidecar.fetch(head(path="/v1/models", method="GET"))).status == 200


async def test_what_outlasts_the_grace_is_503() -> None:
    """A caller who was accepted hears it in shape."""
    upstream = HeldUpstream(held=True)
    async with running(upstream) as sidecar, await sidecar.call() as caller:
        await caller.send(chat_request())
        await upstream.reached()
        await sidecar.listening.drain(0.05)
        answer = await caller.receive()
    check(answer)
    assert answer.status == 503


@pytest.mark.parametrize("path", CHATS)
async def test_a_body_that_does_not_come_is_408(path: str) -> None:
    """By the deadline."""
    async with running(REQUEST_TIMEOUT="0.2") as sidecar, await sidecar.call() as caller:
        await caller.send(head(JSON, LENGTH, path=path) + b"{")
        answer = await caller.receive()
    check(answer)
    assert answer.status == 408


@pytest.mark.parametrize("path", SAMPLES)
async def test_headers_that_do_not_come_are_408(path: str) -> None:
    """The path is known by then."""
    async with running(timings={"header_seconds": 1.0}) as sidecar, await sidecar.call() as caller:
        await caller.send(f"POST {path} HTTP/1.1\r\nHost".encode())
        answer = await caller.receive()
    check(answer)
    assert answer.status == 408


async def test_a_request_line_in_pieces_is_one() -> None:
    """However a network cuts it."""
    async with running() as sidecar, await sidecar.call() as caller:
        for piece in (b"PO", b"ST /v1/cha", b"t HTTP/1.1\r\nbad", b"\r\n\r\n"):
            await caller.send(piece)
            await sidecar.fetch(head(path="/health", method="GET"))
        check(await caller.receive())


async def test_the_shape_is_the_current_requests() -> None:
    """On a kept connection /ai's error is /ai's, whatever was asked before."""
    async with running() as sidecar, await sidecar.call() as caller:
        for path, ai in [("/v1/models", False), ("/ai", True), ("/v1/x", False), ("/nowhere", True)]:
            await caller.send(post(b"{}", path=path))
            answer = await caller.receive()
            assert ("success" in answer.json) is ai
        await caller.send(b"POST /ai HTTP/1.1\r\nbad\r\n\r\n")
        assert (await caller.receive()).json["code"] == "bad_request"


async def test_a_connection_reset_while_refused_harms_nobody() -> None:
    """Callers who leave at once, by the dozen; the next one is served."""
    async with running(HeldUpstream(held=True)) as sidecar:
        for _ in range(50):
            caller = await sidecar.call()
            await caller.send(chat_request())
            caller.writer.transport.abort()
        sidecar.upstream.gate.set()
        async with asyncio.timeout(PATIENCE):
            assert (await sidecar.fetch(chat_request())).status == 200


def test_the_provider_errors_are_all_walked() -> None:
    """What a provider can do is in the tree."""
    assert len([kind for kind in kinds() if issubclass(kind, UpstreamFailure)]) >= 5
