"""Promise of POST /ai: no key, token or text in logs, errors, status or arguments, through every fault and refusal."""

import asyncio

from sidecar.demo.provider import Demo
from tests.support.canaries import ALL, TOKEN, TROUBLES, answered, arguments_of, environment, request
from tests.support.event_streams import EventReader
from tests.support.http_sidecar import head, post
from tests.support.server_process import served


async def test_the_server_keeps_every_secret(demo: Demo) -> None:
    """Through every trouble of the provider, every refusal at the routes, a drain and a kill."""
    async with served(**environment(demo)) as server:
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
        for path in ("/status", "/dashboard"):
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
    for canary in ALL:
        assert canary.encode() not in server.raw
        assert canary.encode() not in said
        assert canary.encode() not in arguments
    assert b"answered" in server.raw
    assert b'"refused":[{' in said
