"""Promises of one click over a real socket: every ending has its code, and patience is PHP's."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from sidecar.core.errors import UpstreamAuth
from sidecar.rehearse.caller import Caller
from sidecar.rehearse.pages import request_of
from sidecar.rehearse.plan import Plan, Route, users_of
from sidecar.rehearse.replies import Reply
from tests.support.held_provider import HeldUpstream
from tests.support.http_sidecar import Sidecar, running
from tests.support.ports import free_port

ROUTES: list[Route] = ["ai", "v1"]
Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def body_for(route: Route) -> bytes:
    plan = Plan(users=1, route=route)
    return request_of(plan, users_of(plan)[0], 0, "mark")


def base_of(sidecar: Sidecar) -> str:
    return sidecar.listening.url


async def click(base: str, route: Route = "ai", *, token: str = "", patience: float = 20.0) -> Reply:
    async with Caller(base, token=token, patience=patience, route=route) as caller:
        return await caller.press(body_for(route))


@asynccontextmanager
async def peer(answer: Peer) -> AsyncIterator[str]:
    """A server that reads one request's head, and then does as `answer` does."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        try:
            await answer(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


@pytest.mark.parametrize("route", ROUTES)
async def test_an_answer_and_a_failure_are_told_apart(route: Route) -> None:
    """By the envelope, on both routes, with what the product really sends."""
    upstream = HeldUpstream()
    async with running(upstream, SIDECAR_TOKEN="t") as sidecar:
        assert await click(base_of(sidecar), route, token="t") == Reply("ok")
        upstream.failure = UpstreamAuth()
    async with running(upstream, SIDECAR_TOKEN="t") as sidecar:
        assert await click(base_of(sidecar), route, token="t") == Reply("upstream_auth")


async def test_a_missing_token_has_its_code() -> None:
    """And on /ai it would start a process, since the status is no 2xx."""
    async with running(SIDECAR_TOKEN="t", AI_REQUIRE_TOKEN="true") as sidecar:
        assert await click(base_of(sidecar)) == Reply("unauthorized", fallback=True)
        assert await click(base_of(sidecar), "v1") == Reply("unauthorized")


async def test_a_caller_gives_up_when_php_would() -> None:
    """The sidecar sees it leave."""
    upstream = HeldUpstream(held=True)
    async with running(upstream) as sidecar:
        assert await click(base_of(sidecar), patience=0.3) == Reply("gave_up", fallback=True)
        async with asyncio.timeout(20):
            await upstream.left.wait()


async def test_the_sidecars_own_deadline_is_another_code() -> None:
    """An answer in time that says `timeout` costs no process."""
    async with running(HeldUpstream(held=True), REQUEST_TIMEOUT="0.2") as sidecar:
        assert await click(base_of(sidecar)) == Reply("timeout")


async def test_no_server_is_unreachable() -> None:
    """A port that nobody listens on."""
    assert await click(f"http://127.0.0.1:{free_port()}") == Reply("unreachable", fallback=True)


async def test_a_connection_that_ends_without_a_response_is_closed() -> None:
    """Before the first byte, and in the middle of a body."""

    async def nothing(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        return

    async def half(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")

    for answer in (nothing, half):
        async with peer(answer) as base:
            assert await click(base) == Reply("closed", fallback=True)


async def test_a_stranger_is_no_sidecar() -> None:
    """Neither a page, nor a redirect that would be followed with the token."""

    async def page(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>")

    async def redirect(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n")

    async with peer(page) as base:
        assert await click(base) == Reply("no_answer")
    async with peer(redirect) as base:
        assert await click(base) == Reply("no_answer", fallback=True)


async def test_status_and_health_are_looked_at() -> None:
    """And a server that is not there gives none."""
    async with running() as sidecar, Caller(base_of(sidecar), token="", patience=1, route="ai") as caller:
        found = await caller.look("/health")
        assert found is not None
        assert found[0] == 200
    async with Caller("http://127.0.0.1:1", token="", patience=1, route="ai") as caller:
        assert await caller.look("/health") is None
