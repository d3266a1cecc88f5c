"""Promises of the whole way of Moodle's own AI subsystem: a real nginx with the shipped block, a real server."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sidecar.demo.provider import Demo
from tests.support.http_sidecar import Answer, post
from tests.support.nginx import Front, front, needs_nginx
from tests.support.server_process import Served, served

pytestmark = needs_nginx

TOKEN = "Authorization: Bearer token-of-this-site"
PATH = "/v1/chat/completions?action=generate_text"


@pytest.fixture
async def server(demo: Demo) -> AsyncIterator[Served]:
    words = (f"--base-url={demo.url}/v1", "--api-key=k", "--sidecar-token=token-of-this-site")
    async with served(*words) as running:
        yield running


@pytest.fixture
async def nginx(server: Served, tmp_path: Path) -> AsyncIterator[Front]:
    async with front(tmp_path, server.port) as running:
        yield running


async def ask(nginx: Front, content: str, *headers: str) -> Answer:
    body = json.dumps({"model": "gpt-4o", "user": "hash", "messages": [{"role": "user", "content": content}]}).encode()
    async with await nginx.call() as caller:
        await caller.send(post(body, *headers, path=PATH))
        return await caller.receive()


def error_of(answer: Answer) -> Any:
    error = answer.json["error"]
    assert isinstance(error["message"], str)
    return error


async def test_moodle_gets_an_answer(nginx: Front, demo: Demo) -> None:
    """With the token as its API key, and a body of more than a megabyte."""
    for content in ("Why is the sky blue?", "word " * 300_000):
        answer = await ask(nginx, content, TOKEN)
        assert answer.status == 200
        assert answer.json["choices"][0]["message"]["content"]
        assert demo.received[-1].json()["messages"][-1]["content"] == content


async def test_without_the_token_nobody_is_served(nginx: Front, demo: Demo) -> None:
    """Though to the sidecar every caller through nginx comes from this machine."""
    for headers in ((), ("Authorization: Bearer guess",)):
        answer = await ask(nginx, "Hello", *headers)
        assert (answer.status, error_of(answer)["code"]) == (401, "unauthorized")
    assert demo.stats.received == 0


async def test_a_draining_sidecar_is_a_503_and_so_is_one_that_was_killed(
    nginx: Front, server: Served, demo: Demo
) -> None:
    """Both lead Moodle to its next provider: before, while and after a restart there is always a response."""
    working = asyncio.create_task(ask(nginx, "[demo stall=1]", TOKEN))
    await demo.until(lambda stats: stats.in_flight == 1)
    server.process.send_signal(signal.SIGTERM)
    await server.event("stopping")
    assert (await ask(nginx, "Hello", TOKEN)).status == 503
    server.process.kill()
    assert (await working).status == 503
    await server.ended()
    dead = await ask(nginx, "Hello", TOKEN)
    assert (dead.status, error_of(dead)["code"]) == (503, "sidecar_down")
