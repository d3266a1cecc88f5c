"""Server of a worker: /health and /metrics on a port of their own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from sidecar.config.settings import Settings
from sidecar.core import events
from sidecar.core.errors import ConfigError
from sidecar.engine.service import Service
from sidecar.http.router import Routes
from sidecar.http.routes.metrics import Metrics, metrics_route
from sidecar.http.routes.ops import health_route
from sidecar.http.server.listener import listen
from sidecar.http.server.server import serve


@asynccontextmanager
async def serve_worker(service: Service, settings: Settings, metrics: Metrics) -> AsyncIterator[str]:
    """Serve on WORKER_METRICS_HOST and WORKER_METRICS_PORT during the block; give the URL, blank where that fails.

    Several workers of one machine may have the same settings, so a port in use is logged and stops no jobs. Raises
    `ConfigError` for an address that other machines reach without a token.
    """
    host, port = settings.worker_metrics_host, settings.worker_metrics_port
    try:
        sock = listen(host, port)
    except ConfigError as exc:
        reason = exc.__cause__.strerror if isinstance(exc.__cause__, OSError) else "unknown"
        events.warning("metrics_unavailable", address=f"{host}:{port}", reason=reason)
        yield ""
        return
    routes = Routes({"/health": health_route(service), "/metrics": metrics_route(metrics, settings.sidecar_token)})
    # Provider calls of a worker are few, whatever CONCURRENCY says, and reserve no descriptors here.
    own = msgspec.structs.replace(settings, host=host, port=port, concurrency=1)
    async with serve(service, own, sock=sock, metrics=metrics, routes=routes) as listening:
        yield listening.url
