"""Promise of POST /ai: no secret in logs, errors, status, arguments, usage or notifications, through every fault."""

import asyncio
from pathlib import Path

from sidecar.demo.provider import Demo
from sidecar.usage.report import report
from tests.support.canaries import ALL, TOKEN, TROUBLES, answered, arguments_of, environment, operators_pages, request
from tests.support.event_streams import EventReader
from tests.support.http_sidecar import head, post
from tests.support.server_process import served
from tests.support.service_manager import service_manager


async def test_the_server_keeps_every_secret(demo: Demo, tmp_path: Path) -> None:
    """Through every trouble of the provider, every refusal at the routes, a drain and a kill."""
    usage = tmp_path / "usage.db"
    own = {"USAGE_FILE": str(usage), "USAGE_USERS": "true", "WATCHDOG_USEC": "100000"}
    async with (
        service_manager(tmp_path) as manager,
        served(**environment(demo), **own, NOTIFY_SOCKET=manager.address) as server,
    ):
        bearer = f"Authorization: Bearer {TOKEN}"
        said = b""
        for trouble in TROUBLES:
            await answered(server, post(request(""), bearer))
            raws = [post(request(trouble, action), bearer) for action in ("chat", "summarize")]
            for answer in await asyncio.gather(*map(server.fetch, raws)):
                if not answer.json["success"]:
                    said += answer.body
        for raw in (
            post(request("")),
            post(request(""), f"Authorization: Bearer {TOKEN}x"),
            post(request("")[:-9], bearer),
            post(request("").replace(b'"chat"', b'"canaryTEXT4714"'), bearer),
            post(request(""), bearer, kind="text/canaryTEXT4714"),
            post(request(""), bearer, "Content-Encoding: gzip"),
            post(b'{"content": {"canaryTEXT4714": 1}, "action": "chat"}', bearer),
            post(b"\xff canaryTEXT4714", bearer),
            head(path="/canaryTEXT4714?canaryTEXT4714", method="GET"),
            b"canaryTEXT4714\r\n\r\n",
            b"GET / HTTP/1.1\r\ncanaryTEXT4714\r\n\r\n",
            post(b"", f"X-Long: canaryTEXT4714{'x' * 20_000}"),
        ):
            said += (await server.fetch(raw)).body
        said += await operators_pages(server)
        for path in ("/ready", "/ready?strict=1", "/ready?strict=canaryTEXT4714", "/dashboard"):
            said += (await server.get(path)).body
        async with await server.call() as page:
            await page.send(head(path="/dashboard/events", method="GET"))
            events = EventReader(page)
            await events.head()
            for _ in range(3):
                said += await events.event() or b""
        stalled = asyncio.create_task(server.fetch(post(request("stall=1"), bearer)))
        await demo.until(lambda stats: stats.in_flight == 1)
        arguments = arguments_of(server.process.pid)
        server.process.terminate()
        said += (await stalled).body
        assert await server.ended() == 0
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
        assert canary.encode() not in arguments
    assert b"answered" in server.raw
    assert b'"refused":[{' in said
