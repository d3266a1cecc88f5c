"""Wiring of the metrics: what a server and a worker publish. For wiring.py, beside which this file stands."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from sidecar.config.settings import Settings
from sidecar.core import events
from sidecar.core.jobs import Lane
from sidecar.engine.service import Service
from sidecar.metrics.exposition import Exposition, server_exposition, worker_exposition
from sidecar.metrics.readings import JobsNumbers, LaneNumbers

if TYPE_CHECKING:
    from sidecar.jobs.worker.handler import JobHandler
    from sidecar.jobs.worker.worker import Working


def server_metrics(service: Service, settings: Settings, jobs: Callable[[], JobsNumbers] | None) -> Exposition:
    """Return the page of a server; `jobs` returns the numbers of jobs, None without jobs."""
    return server_exposition(service, jobs, client=settings.client)


@asynccontextmanager
async def worker_metrics(
    settings: Settings, handlers: "dict[Lane, tuple[JobHandler, int]]", work: "Working"
) -> AsyncIterator[None]:
    """Serve the metrics of a worker during the block where WORKER_METRICS_PORT is set."""
    if not settings.worker_metrics_port:
        yield
        return
    from sidecar.http.server.worker import serve_worker  # noqa: PLC0415 - late: most workers have no server

    lanes: dict[Lane, LaneNumbers] = {
        lane: LaneNumbers(handler.service, handler.count_running, at_once)
        for lane, (handler, at_once) in handlers.items()
    }
    metrics = worker_exposition(lanes, redis_up=lambda: work.redis_up, client=settings.client)
    async with serve_worker(handlers["night"][0].service, settings, metrics) as url:
        if url:
            events.info("metrics", url=f"{url}/metrics", health=f"{url}/health")
        yield
