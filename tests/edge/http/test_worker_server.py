"""Promises of a worker's own server: health and metrics alone, through its drain, and a port in use is no end."""

import socket

from sidecar.core.jobs import Lane
from sidecar.http.server.worker import serve_worker
from sidecar.metrics.exposition import worker_exposition
from sidecar.metrics.readings import LaneNumbers
from sidecar.service import service_of
from tests.support.held_provider import HeldUpstream
from tests.support.http_sidecar import Answer, Caller, head, post, settings_of
from tests.support.metrics_page import Page, scrape
from tests.support.ports import free_port

HEALTH = head(path="/health", method="GET")


async def fetch(port: int, raw: bytes) -> Answer:
    async with await Caller.connect("127.0.0.1", port) as caller:
        await caller.send(raw)
        return await caller.receive()


async def test_a_worker_has_health_and_metrics_alone() -> None:
    """The routes of callers are a server's; a drain shows in both pages."""
    port = free_port()
    settings = settings_of(WORKER_METRICS_PORT=str(port), CONCURRENCY="10000")
    service = service_of(settings, HeldUpstream())
    lanes: dict[Lane, LaneNumbers] = {"night": LaneNumbers(service, lambda: 0, 4)}
    metrics = worker_exposition(lanes, redis_up=lambda: False, client="aiohttp")
    async with serve_worker(service, settings, metrics) as url:
        assert url == f"http://127.0.0.1:{port}"
        assert (await fetch(port, HEALTH)).status == 200
        assert (await fetch(port, post())).status == 404
        page = Page.of((await fetch(port, scrape())).body)
        assert page.value("sidecar_redis_up") == page.value("sidecar_draining", lane="night") == 0
        assert page.value("sidecar_connections") == 1
        service.drain.begin(0)
        assert (await fetch(port, HEALTH)).status == 503
        assert Page.of((await fetch(port, scrape())).body).value("sidecar_draining", lane="night") == 1


async def test_a_port_in_use_is_no_error() -> None:
    """The block runs without a server."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = settings_of(WORKER_METRICS_PORT=str(taken.getsockname()[1]))
        service = service_of(settings, HeldUpstream())
        async with serve_worker(service, settings, worker_exposition({}, redis_up=bool, client="x")) as url:
            assert url == ""
