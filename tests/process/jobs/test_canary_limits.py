"""No key, token, user or text in Redis' key names, spans, metrics, usage or the process list, with limits in force."""

import asyncio
import json
import signal
from pathlib import Path

import pytest

from sidecar.config.tokens import hash_of
from sidecar.demo.provider import Demo
from tests.support.canaries import (
    ALL,
    TOKEN,
    USER,
    answered,
    environment,
    operators_pages,
    processes_below,
    request,
    seen_by_others,
    shared_memory,
)
from tests.support.event_streams import EventReader
from tests.support.http_sidecar import head, post
from tests.support.server_process import Served, served
from tests.support.service_manager import service_manager
from tests.support.traces import PARENT, collecting
from tests.support.valkey import Valkey, valkey
from tests.support.workers import worker

NAMED = "canaryNAMED4716"
"""A token of the file."""
V1 = "/v1/chat/completions"
TROUBLES = ("", "status=400", "status=500", "garbage=html", "garbage=huge", "cut=body", "stream_cut=true")
TABLES = f"""
[user]
requests_per_minute = 1000
tokens_per_day = 100_000
at_once = 100
[[token]]
name = "physics"
hash = "{hash_of(NAMED)}"
[[token]]
name = "narrow"
hash = "{hash_of(NAMED + "narrow")}"
user = {{ requests_per_minute = 1, tokens_per_day = 1, at_once = 1 }}
"""


def lines(token: str) -> tuple[str, ...]:
    return f"Authorization: Bearer {token}", f"traceparent: {PARENT}", "Connection: close"


def completion(trouble: str, *, stream: bool) -> bytes:
    asked = json.loads(request(trouble))
    message = {"role": "user", "content": asked["content"]}
    return json.dumps({"messages": [message], "user": USER, "stream": stream}).encode()


def every_request(trouble: str, token: str) -> list[bytes]:
    """The same text to every route that takes one."""
    return [
        *(post(request(trouble, action), *lines(token)) for action in ("chat", "summarize")),
        *(post(completion(trouble, stream=stream), *lines(token), path=V1) for stream in (False, True)),
        post(json.dumps({"jobs": [json.loads(request(trouble))]}).encode(), *lines(token), path="/jobs"),
    ]


async def everything(server: Served, raw: bytes) -> bytes:
    """All bytes of an answer, but for those of a success, which are the caller's."""
    async with await server.call() as caller:
        await caller.send(raw)
        said = await caller.rest()
    head_, _, body = said.partition(b"\r\n\r\n")
    good = b'"success":true' in body or b'"choices"' in body
    return head_ if good else said


class Names:
    """The names of all keys that were seen in a Redis."""

    def __init__(self, server: Valkey) -> None:
        self._server = server
        self.seen: set[str] = set()

    async def look(self) -> None:
        async with self._server.client() as client:
            self.seen |= {name async for name in client.scan_iter("*", count=1000)}

    def has(self, *words: str) -> bool:
        return any(all(word in name for word in words) for name in self.seen)


@pytest.mark.parametrize("processes", [1, 2])
async def test_limits_jobs_and_traces_keep_every_secret(demo: Demo, tmp_path: Path, processes: int) -> None:
    """Through troubles, limits that refuse, a reload and a stop: nowhere but in the answer and the job's own text."""
    tracing = processes == 1  # PROCESSES has no spans
    (tmp_path / "tokens.toml").write_text(TABLES)
    async with collecting() as collector, service_manager(tmp_path) as manager, valkey() as redis:
        env = environment(demo) | {
            "REDIS_URL": redis.url,
            "TOKENS_FILE": str(tmp_path / "tokens.toml"),
            "USAGE_FILE": str(tmp_path / "usage.db"),
            "USAGE_USERS": "true",
            "TRACING": str(tracing).lower(),
            "PROCESSES": str(processes),
            "PASS_TRACEPARENT": "true",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "NOTIFY_SOCKET": manager.address,
            "SHUTDOWN_GRACE": "1",
            "CALL_TIMEOUT": "2",
        }
        names = Names(redis)
        async with worker(**env | {"PROCESSES": "1"}) as working, served(**env) as server:
            await server.event("workers_alive")
            said = b""
            for trouble in TROUBLES:
                await answered(server, post(request(""), *lines(NAMED)))
                said += b"".join(await asyncio.gather(*(everything(server, x) for x in every_request(trouble, NAMED))))
                await names.look()
            for raw in every_request("", f"{NAMED}narrow") * 2:
                said += await everything(server, raw)
            said += b"".join([await everything(server, raw) for raw in every_request("", f"{NAMED}x")])
            stalled = [asyncio.create_task(server.fetch(raw)) for raw in every_request("stall=1", NAMED)[:3]]
            await demo.until(lambda stats: stats.in_flight >= 2)
            await names.look()
            said += processes_below(working.process.pid) + await seen_by_others(server) + shared_memory(server)
            said += await operators_pages(server)
            async with await server.call() as page:
                await page.send(head(path="/dashboard/events", method="GET"))
                events = EventReader(page)
                await events.head()
                said += b"".join([await events.event() or b"" for _ in range(2)])
            server.process.send_signal(signal.SIGHUP)
            for answer in await asyncio.gather(*stalled):
                said += answer.body
            await working.until(lambda log: sum(line["event"] == "job" for line in log) >= len(TROUBLES))
            await names.look()
            server.process.terminate()
            assert (await server.ended(), await working.stop()) == (0, 0)
        assert b'"limited"' in said
        for kind in ("running", "minute", "spent"):
            assert names.has("limit:user:", kind)
        assert names.has(":by:")
        assert any("job" in span.name for span in collector.spans) == tracing
        shown = [said, server.raw, working.raw, (tmp_path / "usage.db").read_bytes()]
        shown += ["\n".join(names.seen).encode(), "\n".join(manager.lines).encode()]
        shown += ["\n".join(map(str, collector.spans)).encode(), str(collector.resources).encode()]
        for canary in (*ALL, NAMED, TOKEN):
            assert [place for place, text in enumerate(shown) if canary.encode() in text] == [], canary
