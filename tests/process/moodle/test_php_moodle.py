"""Promises to Moodle's own AI subsystem: a double of its provider (tests/php/moodle.php) is served by us."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any, get_args

import pytest

from sidecar.demo.options import Cut, Garbage, Options
from sidecar.demo.provider import Demo
from sidecar.demo.server import serve
from sidecar.http.routes.completions import NAME
from sidecar.http.server.server import routes_of
from sidecar.service import service_of
from tests.support.held_provider import HeldUpstream
from tests.support.http_sidecar import settings_of
from tests.support.nginx import ADDRESS, front, needs_nginx
from tests.support.paths import ROOT
from tests.support.php import needs_php, php
from tests.support.ports import free_port
from tests.support.server_process import Served, served

pytestmark = needs_php

TOKEN = "token-of-this-site"
PATH = "/v1/chat/completions?action=generate_text"
ODD: set[Garbage] = {"multipart", "nul", "refusal", "surrogate"}
"""The demo's odd answers that have words in them; its others are useless."""


@pytest.fixture
async def demo() -> AsyncIterator[Demo]:
    async with serve(Options(), keep=10) as running:
        yield running


@pytest.fixture
async def server(demo: Demo) -> AsyncIterator[Served]:
    words = (f"--base-url={demo.url}/v1", "--api-key=k", f"--sidecar-token={TOKEN}", "--max-body-bytes=2048")
    async with served(*words) as running:
        yield running


def chat(content: str) -> str:
    """What Moodle sends."""
    messages = [{"role": "system", "content": "You help."}, {"role": "user", "content": content}]
    return json.dumps({"model": "gpt-4o", "user": "hash", "messages": messages})


def at(server: Served, path: str = PATH) -> str:
    return f"http://{server.host}:{server.port}{path}"


async def ask(requests: Iterable[tuple[str, str]], key: str = TOKEN) -> list[Any]:
    """What became of each request, an address and a body, one after another."""
    text = json.dumps({"key": key, "requests": [{"url": url, "body": body} for url, body in requests]})
    code, out, err = await php(ROOT / "tests/php/moodle.php", text=text)
    assert (code, err) == (0, ""), (out, err)
    came: list[Any] = json.loads(out)
    return came


def directed(*words: str) -> list[str]:
    return [chat(f"Hello. [demo {word}]") for word in words]


async def test_whatever_answers_can_be_stored(server: Served) -> None:
    """A plain answer, and every odd one that has words in it."""
    odd = directed(*(f"garbage={name}" for name in sorted(ODD)))
    came = await ask((at(server), body) for body in [chat("Is 1<2, and Vec<int> a type?"), *odd])
    assert [one for one in came if not one.get("content")] == []
    assert "Vec< int>" in came[0]["content"]


async def test_whatever_the_provider_does_leads_to_the_next_one(server: Served) -> None:
    """No answer, no text, no key, no time: never a blank answer and never an exception."""
    words = [f"garbage={name}" for name in get_args(Garbage) if name not in ODD]
    words += [f"cut={name}" for name in get_args(Cut)]
    words += ["status=400", "status=404", "status=500", "status=302", "quota=true", "api_key=another"]
    requests = [(at(server), body) for body in directed(*words)]
    late = (at(server, f"{PATH}&deadline=0.2"), directed("stall=1")[0])
    came = await ask([*requests, late])
    assert [one for one in came if not one.get("next")] == []
    assert {one["status"] for one in came} == {429, 502, 504}


async def test_any_reply_of_any_route_can_be_shown(server: Served) -> None:
    """A wrong token, an address that is none, a body that is none or too large: a status and a sentence."""
    settings = settings_of()
    routes = routes_of(service_of(settings, HeldUpstream()), settings, None)
    paths = [path.replace("{", "a").replace("}", "z") for path, route in routes if route.name == NAME]
    bodies = ["", "{", "[]", "{}", '{"messages": "Hello"}', "x" * 3000]
    came = await ask((at(server, path), body) for path in paths for body in bodies)
    came += await ask(((at(server, path), chat("Hello")) for path in paths), key="guess")
    assert [one for one in came if not one.get("shown")] == []
    assert {one["status"] for one in came} == {400, 401, 404, 405, 413}


async def test_a_draining_server_leads_to_the_next_one(server: Served, demo: Demo) -> None:
    """A restart costs nobody an exception."""
    slow = asyncio.create_task(server.chat("[demo stall=1]"))
    await demo.until(lambda stats: stats.in_flight == 1)
    server.process.send_signal(signal.SIGTERM)
    await server.event("stopping")
    [came] = await ask([(at(server), chat("Hello"))])
    assert (came["status"], came["next"]) == (503, True)
    server.process.send_signal(signal.SIGTERM)
    await asyncio.gather(slow, return_exceptions=True)


@needs_nginx
async def test_through_the_block_a_dead_server_leads_to_the_next_one(tmp_path: Path) -> None:
    """Too large and nowhere are said by nginx as the sidecar says them."""
    async with front(tmp_path, free_port(), client_max_body_size="2k") as nginx:
        base = f"http://{ADDRESS}:{nginx.port}"
        requests = [(f"{base}{PATH}", chat("Hello")), (f"{base}{PATH}", "x" * 3000), (f"{base}/elsewhere", "{}")]
        came = await ask(requests)
    assert [(one["status"], one["next"]) for one in came] == [(503, True), (413, False), (404, False)]
