"""Promises of GET /status."""

import asyncio
import base64

import pytest

from sidecar.http.app import application
from sidecar.http.router import Routes
from sidecar.http.routes.ops import is_local, status_route
from sidecar.service import service_of
from tests.support.held_provider import HeldUpstream
from tests.support.http_sidecar import CHAT, Caller, head, post, running, serving, settings_of
from tests.support.paths import ROOT

OPERATIONS = ROOT / "docs" / "operations.md"


def get(*headers: str) -> bytes:
    return head(*headers, path="/status", method="GET")


async def test_status_shows_what_is_held_and_found() -> None:
    """Places, bytes, slots, limit, breaker, waits and answers, while a call is under way and another waits."""
    upstream = HeldUpstream(held=True)
    async with running(upstream, CONCURRENCY="1") as sidecar:
        callers = [asyncio.create_task(sidecar.fetch(post())) for _ in range(2)]
        await upstream.reached()
        while sidecar.service.kernel.calls.gate.waiting < 1:  # noqa: ASYNC110 - the wire says nothing of it
            await asyncio.sleep(0)
        status = (await sidecar.fetch(get())).json
        assert status["state"] == "serving"
        assert status["places"] == {"now": 2, "most": 2048}
        assert status["bytes"]["now"] == 2 * len(CHAT)
        assert status["slots"] == {"running": 1, "waiting": 1, "found": 1, "ceiling": 1}
        assert status["oldest_wait"] >= 0
        assert status["breaker"] == "closed"
        upstream.gate.set()
        await asyncio.gather(*callers)
        await sidecar.fetch(post(b"x"))
        status = (await sidecar.fetch(get())).json
        assert status["answers"] == {"invalid_json": 1, "ok": 2}
        assert status["places"]["now"] == status["slots"]["running"] == 0
        assert status["call_seconds"] >= 0
        sidecar.service.drain.begin(5)
        assert (await sidecar.fetch(get())).json["state"] == "draining"


async def test_every_key_is_explained() -> None:
    """The document for operators names each key."""
    text = OPERATIONS.read_text()
    async with running() as sidecar:
        for key, value in (await sidecar.fetch(get())).json.items():
            assert f"`{key}`" in text
            for inner in value if isinstance(value, dict) and key in {"slots", "flights"} else ():
                assert f"`{inner}`" in text


@pytest.mark.parametrize(
    ("token", "header", "code"),
    [
        ("", (), 401),
        ("s3cret", (), 401),
        ("s3cret", ("Authorization: Bearer wrong",), 401),
        ("s3cret", ("Authorization: Bearer s3cret",), 200),
        ("s3cret", (f"Authorization: Basic {base64.b64encode(b'x:s3cret').decode()}",), 200),
    ],
)
async def test_strangers_need_the_token(token: str, header: tuple[str, ...], code: int) -> None:
    """From another machine it takes the token; without one set nobody there sees it."""
    service = service_of(settings_of(), HeldUpstream())
    routes = Routes({"/status": status_route(service, token, local=lambda _: False)})
    async with serving(application(routes, service)) as (host, port), await Caller.connect(host, port) as caller:
        await caller.send(get(*header))
        assert (await caller.receive()).status == code


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("127.0.0.1", True),
        ("127.77.0.1", True),
        ("::1", True),
        ("", True),
        ("10.0.0.1", False),
        ("fe80::1%eth0", False),
        ("::ffff:127.0.0.1", True),
        ("::ffff:10.0.0.1", False),
    ],
)
def test_who_is_local(address: str, *, local: bool) -> None:
    """Loopback in both families, and callers over a unix socket."""
    assert is_local(address) is local
