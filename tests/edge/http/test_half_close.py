"""Promises to callers that close their sending side behind the request: nc -N, some proxies and health checkers."""

import asyncio
import json

import pytest

from tests.support.held_provider import HeldUpstream
from tests.support.http_sidecar import CHAT, Sidecar, head, post, running

COMPLETION = json.dumps({"model": "m", "messages": [{"role": "user", "content": "Hello"}]}).encode()


async def rest_after_eof(sidecar: Sidecar, request: bytes, upstream: HeldUpstream | None = None) -> bytes:
    """Return all that a caller hears who ends its sending right behind the request."""
    async with await sidecar.call() as caller:
        caller.described = False
        await caller.send(request)
        caller.writer.write_eof()
        if upstream is not None:
            await upstream.reached()
            await sidecar.fetch(head("Connection: close", path="/health", method="GET"))  # the end has been read by now
            upstream.gate.set()
        return await caller.rest()


@pytest.mark.parametrize("path", ["/health", "/status", "/openapi.json", "/v1/models", "/nowhere"])
async def test_a_half_closed_caller_hears_every_route(path: str) -> None:
    """The answer comes whole, and then the end."""
    async with running() as sidecar:
        heard = await rest_after_eof(sidecar, head(path=path, method="GET"))
    top, _, body = heard.partition(b"\r\n\r\n")
    assert top.startswith(b"HTTP/1.1 ")
    assert json.loads(body)


@pytest.mark.parametrize(("path", "body"), [("/ai", CHAT), ("/v1/chat/completions", COMPLETION)])
async def test_a_half_closed_caller_hears_the_providers_answer(path: str, body: bytes) -> None:
    """The end of the sending side does not cancel the call, however long the provider takes."""
    upstream = HeldUpstream(held=True)
    async with running(upstream) as sidecar:
        heard = await rest_after_eof(sidecar, post(body, path=path), upstream)
    top, _, body = heard.partition(b"\r\n\r\n")
    assert top.startswith(b"HTTP/1.1 200 ")
    assert json.loads(body)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET /health HTTP/2.0\r\nHost: 127.0.0.1\r\n\r\n", 505),
        (b"GET /health HTTP/9.9\r\nHost: 127.0.0.1\r\n\r\n", 505),
        (head("Long: " + "x" * 20_000), 431),
        (head("Content-Type: application/json", "Transfer-Encoding: chunked") + b"x\r\n", 400),
    ],
    ids=range(5),
)
async def test_a_half_closed_caller_hears_a_refusal_too(request_: bytes, status: int) -> None:
    """What cannot be parsed is told so, and the connection ends at once: no further bytes can come."""
    async with running() as sidecar:  # its linger time is longer than a test's patience
        heard = await rest_after_eof(sidecar, request_)
    assert heard.startswith(b"HTTP/1.1 %d " % status)
    assert heard.count(b"Connection: close") == 1


async def test_requests_in_a_row_are_all_answered() -> None:
    """Pipelined requests before the end count too."""
    async with running() as sidecar:
        heard = await rest_after_eof(sidecar, post() + post())
    assert heard.count(b"HTTP/1.1 200 ") == 2


async def test_a_later_end_is_a_caller_who_left() -> None:
    """Nobody pays for an answer that nobody reads."""
    upstream = HeldUpstream(held=True)
    async with running(upstream, timings={"half_close_seconds": 0.05}) as sidecar, await sidecar.call() as caller:
        await caller.send(post())
        await upstream.reached()
        sent = asyncio.get_running_loop().time()
        while asyncio.get_running_loop().time() <= sent + 0.05:
            await sidecar.fetch(head("Connection: close", path="/health", method="GET"))
        caller.writer.write_eof()
        assert await caller.rest() == b""
        await upstream.left.wait()


async def test_half_a_request_and_an_end_is_no_request() -> None:
    """The connection closes without an answer, and nothing is held."""
    async with running() as sidecar:
        assert await rest_after_eof(sidecar, post()[:-5]) == b""
        assert sidecar.service.admission.held == 0
