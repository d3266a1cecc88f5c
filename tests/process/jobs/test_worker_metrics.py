"""Promises of a worker's own port for metrics: both lanes on one page, health, and no job lost for want of the port."""

import socket

from sidecar.core.contract import Request
from tests.support.http_sidecar import Answer, Caller, head
from tests.support.metrics_page import Page, scrape
from tests.support.ports import free_port
from tests.support.valkey import valkey
from tests.support.workers import ended, jobs_of, until, worker

TEXT = Request(action="summarize", content="Rivers run to the sea.")


async def fetch(port: int, raw: bytes) -> Answer:
    async with await Caller.connect("127.0.0.1", port) as caller:
        await caller.send(raw)
        return await caller.receive()


async def test_a_worker_serves_its_metrics_and_health() -> None:
    """On WORKER_METRICS_PORT, by lane; nothing else is there."""
    port = free_port()
    async with (
        valkey() as server,
        worker("--demo", REDIS_URL=server.url, WORKER_METRICS_PORT=str(port)) as running,
        jobs_of(REDIS_URL=server.url) as store,
    ):
        await running.event("metrics", url=f"http://127.0.0.1:{port}/metrics")
        [job] = await store.enqueue([TEXT])
        await until(store, [job.job_id], ended)
        await running.event("job", code="ok")
        page = Page.of((await fetch(port, scrape(openmetrics=True))).body, openmetrics=True)
        assert page.value("sidecar_requests_total", lane="night", route="job", action="summarize", code="ok") == 1
        assert page.value("sidecar_provider_calls_total", lane="night", code="ok") == 1
        assert page.value("sidecar_provider_ceiling", lane="day") == 8
        assert page.value("sidecar_jobs_running_limit", lane="night") == 4
        assert page.value("sidecar_redis_up") == 1
        assert (await fetch(port, head(path="/health", method="GET"))).status == 200
        assert (await fetch(port, head("Content-Length: 0", path="/ai"))).status == 404
        assert await running.stop() == 0


async def test_a_port_in_use_stops_no_jobs() -> None:
    """Two workers of one machine share their settings; the second one works without metrics, and says so."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with (
            valkey() as server,
            worker("--demo", REDIS_URL=server.url, WORKER_METRICS_PORT=str(port)) as running,
            jobs_of(REDIS_URL=server.url) as store,
        ):
            await running.event("metrics_unavailable", address=f"127.0.0.1:{port}")
            [job] = await store.enqueue([TEXT])
            [done] = await until(store, [job.job_id], ended)
            assert done is not None
            assert done.status == "complete"


async def test_a_port_open_to_others_needs_the_token() -> None:
    """As the server's own: without a token the worker does not start."""
    async with worker("--demo", REDIS_URL="redis://127.0.0.1:1", **PORT, WORKER_METRICS_HOST="0.0.0.0") as running:
        assert await running.ended() == 2
        assert b"SIDECAR_TOKEN" in running.raw


PORT = {"WORKER_METRICS_PORT": str(free_port())}
