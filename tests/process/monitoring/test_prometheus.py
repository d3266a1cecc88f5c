"""A real Prometheus scrapes a real burst: every panel of the dashboard has data then, and no alert is out of order."""

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path

from sidecar.core.contract import Request
from sidecar.demo.options import Options
from sidecar.demo.server import serve
from tests.support.http_sidecar import post
from tests.support.paths import ROOT
from tests.support.ports import free_port
from tests.support.prometheus import configured, needs_prometheus, prometheus
from tests.support.server_process import Served, served
from tests.support.valkey import valkey
from tests.support.workers import ended, jobs_of, until, worker

pytestmark = needs_prometheus
CALLERS = 100


def dashboard() -> list[tuple[str, str]]:
    """Return title and expression of each query of the dashboard, with Grafana's variables filled in."""
    panels = json.loads((ROOT / "deploy/grafana-dashboard.json").read_bytes())["panels"]
    return [
        (panel["title"], target["expr"].replace("$__rate_interval", "1m").replace("$instance", ".*"))
        for panel in panels
        for target in panel.get("targets", ())
    ]


async def burst(server: Served) -> None:
    """Send a class of callers: on /ai, on /v1 whole and as streams, some of them with the same text."""
    chat = {"messages": [{"role": "user", "content": "Why do rivers run to the sea?"}]}
    raws = []
    for number in range(CALLERS):
        if number % 4 == 0:
            raws.append(post(json.dumps(chat | {"stream": True}).encode(), path="/v1/chat/completions"))
            continue
        action, content = ("summarize", "The same page.") if number % 4 == 1 else ("chat", f"Question {number}?")
        raws.append(post(json.dumps({"action": action, "content": content, "user_id": number}).encode()))
    answers = await asyncio.gather(*(everything(server, raw) for raw in raws))
    assert all(answer.startswith(b"HTTP/1.1 200") for answer in answers)


async def everything(server: Served, raw: bytes) -> bytes:
    async with await server.call() as caller:
        caller.described = False
        await caller.send(raw.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
        return await caller.rest()


async def test_every_query_of_the_dashboard_has_data_after_a_burst(tmp_path: Path) -> None:
    """A hundred callers at a provider that takes sixteen calls at once and refuses more in OpenAI's words."""
    here, there = free_port(), free_port()
    server_target, worker_target = f"127.0.0.1:{here}", f"127.0.0.1:{there}"
    async with serve(Options(slots=16, latency=0.2)) as demo, valkey() as redis, AsyncExitStack() as stack:
        # First, since it takes its time to look for targets.
        file = configured(tmp_path, server_target, worker_target, "300ms")
        scraper = await stack.enter_async_context(prometheus(tmp_path, file))
        env = {"OPENAI_API_KEY": "demo", "OPENAI_BASE_URL": f"{demo.url}/v1", "REDIS_URL": redis.url}
        env |= {"WORKER_METRICS_PORT": str(there)}
        server = await stack.enter_async_context(served(f"--port={here}", **env))
        working = await stack.enter_async_context(worker(**env))
        store = await stack.enter_async_context(jobs_of(REDIS_URL=redis.url))
        await working.event("metrics")
        await scraper.scraped(server_target, 1)
        [job] = await store.enqueue([Request(action="summarize", content="Rivers run to the sea.")])
        await burst(server)
        await until(store, [job.job_id], ended)
        await scraper.scraped(worker_target, 2)
        await scraper.scraped(server_target, 2)

        assert [(title, text) for title, text in dashboard() if not await scraper.query(text)] == []
        [answered] = await scraper.query('sum(sidecar_requests_total{code="ok",route=~"ai|openai"})')
        assert answered["value"][1] == str(CALLERS)
        [refused] = await scraper.query('sum(sidecar_provider_calls_total{scope="capacity"})')
        assert float(refused["value"][1]) > 0
        assert await scraper.get("query_exemplars", query="sidecar_request_seconds_bucket", start="0", end="9e9")
        alerts = (await scraper.get("rules"))["groups"][0]["rules"]
        assert {rule["health"] for rule in alerts} <= {"ok", "unknown"}
        assert [rule["name"] for rule in alerts if rule["state"] == "firing"] == []
