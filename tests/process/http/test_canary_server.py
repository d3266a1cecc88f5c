"""Promise of POST /ai: no secret in logs, errors, status, arguments, usage or notifications, through every fault."""

import asyncio
import json
import os
import signal
from pathlib import Path

import pytest

from sidecar.demo.provider import Demo
from sidecar.usage.report import report
from tests.support.canaries import (
    ALL,
    KEY,
    TEXT,
    TOKEN,
    TROUBLES,
    USER,
    answered,
    environment,
    operators_pages,
    request,
    seen_by_others,
    shared_memory,
)
from tests.support.event_streams import EventReader
from tests.support.http_sidecar import Answer, head, post
from tests.support.process_family import connections
from tests.support.server_process import Served, served
from tests.support.service_manager import service_manager

BEARER = f"Authorization: Bearer {TOKEN}"
REFUSED = (
    post(request("")),
    post(request(""), f"Authorization: Bearer {TOKEN}x"),
    post(request("")[:-9], BEARER),
    post(request("").replace(b'"chat"', b'"canaryTEXT4714"'), BEARER),
    post(request(""), BEARER, kind="text/canaryTEXT4714"),
    post(request(""), BEARER, "Content-Encoding: gzip"),
    post(b'{"content": {"canaryTEXT4714": 1}, "action": "chat"}', BEARER),
    post(b"\xff canaryTEXT4714", BEARER),
    head(path="/canaryTEXT4714?canaryTEXT4714", method="GET"),
    b"canaryTEXT4714\r\n\r\n",
    b"GET / HTTP/1.1\r\ncanaryTEXT4714\r\n\r\n",
    post(b"", f"X-Long: canaryTEXT4714{'x' * 20_000}"),
)


def question(number: int) -> bytes:
    """Return a chat that shares nothing with another one, and that the provider does not answer."""
    body = {"action": "chat", "content": f"{TEXT} {number} [demo stall=1]", "user_id": USER}
    return json.dumps(body).encode()


def environ_of(pid: int) -> bytes:
    return Path(f"/proc/{pid}/environ").read_bytes()


async def dashboard_events(server: Served) -> bytes:
    """Return the first events of a page."""
    async with await server.call() as page:
        await page.send(head(path="/dashboard/events", method="GET"))
        events = EventReader(page)
        await events.head()
        return b"".join([await events.event() or b"" for _ in range(3)])


@pytest.mark.parametrize("processes", [1, 2])
async def test_the_server_keeps_every_secret(demo: Demo, tmp_path: Path, processes: int) -> None:
    """Through every trouble of the provider, every refusal at the routes, a drain, and a serving process's end."""
    usage = tmp_path / "usage.db"
    own = {"USAGE_FILE": str(usage), "USAGE_USERS": "true", "WATCHDOG_USEC": "100000", "PROCESSES": str(processes)}
    async with (
        service_manager(tmp_path) as manager,
        served(**environment(demo), **own, NOTIFY_SOCKET=manager.address) as server,
    ):
        said = b""
        for trouble in TROUBLES:
            await answered(server, post(request(""), BEARER))
            raws = [post(request(trouble, action), BEARER) for action in ("chat", "summarize")]
            for answer in await asyncio.gather(*map(server.fetch, raws)):
                if not answer.json["success"]:
                    said += answer.body
        for raw in REFUSED:
            said += (await server.fetch(raw)).body
        said += await operators_pages(server)
        for path in ("/ready", "/ready?strict=1", "/ready?strict=canaryTEXT4714", "/dashboard"):
            said += (await server.get(path)).body
        said += await dashboard_events(server)
        await answered(server, post(request(""), BEARER))
        stalled = [asyncio.create_task(server.fetch(post(question(number), BEARER))) for number in range(6)]
        await demo.until(lambda stats: stats.in_flight == len(stalled))
        held = connections(server)
        said += await seen_by_others(server) + shared_memory(server)
        environs = b"".join(map(environ_of, held))
        if processes > 1:
            os.kill(next(iter(held)), signal.SIGKILL)
            await server.event("process_ended")
        server.process.terminate()
        for ending in await asyncio.gather(*stalled, return_exceptions=True):
            said += ending.body if isinstance(ending, Answer) else str(ending).encode()
        assert await server.ended() == 0
    assert all(held.values())
    assert environs.count(KEY.encode()) == len(held)  # each calls the provider; its own user and root read this alone
    assert not [canary for canary in (USER, TEXT) if canary.encode() in environs]
    found = report([str(usage)], ["code", "user"])
    assert {"ok", "upstream_error", "unauthorized"} <= {code for (code, _), _ in found.rows}
    assert len({user for (_, user), _ in found.rows}) == 2
    assert len(manager.statuses) > 2
    written = b"".join(path.read_bytes() for path in tmp_path.glob("usage*"))  # noqa: ASYNC240 - a few pages
    for canary in ALL:
        assert canary.encode() not in written
        assert canary not in "".join(manager.lines)
        assert canary.encode() not in server.raw
        assert canary.encode() not in said
    assert b"answered" in server.raw
    assert b'"refused":[{' in said
