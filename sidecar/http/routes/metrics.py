"""The route GET /metrics, for Prometheus: guarded as /status is. `Metrics` is the port to what is published."""

from collections.abc import Callable
from typing import Protocol

from aiohttp import hdrs, web

from sidecar.core.errors import NotFound
from sidecar.http.auth import Named
from sidecar.http.request import Arrival
from sidecar.http.responses.envelope import COMMON
from sidecar.http.router import Route
from sidecar.http.routes.ops import operators_only


class Metrics(Protocol):
    """Port: the page of a scrape."""

    def count_connections(self, count: Callable[[], int]) -> None:
        """Publish the number of open connections that `count` returns."""
        ...

    async def page(self, accept: str, *, exemplars: bool = False) -> tuple[str, bytes]:
        """Return content type and body for the header `accept`; `exemplars` shows request ids."""
        ...


def metrics_route(
    metrics: Metrics | None, token: str, local: Callable[[str], bool] | None = None, named: Named | None = None
) -> Route:
    """Return the route; `token`, `local` and `named` are as in `operators_only`.

    Without `metrics` the answer is 404.
    """
    check = operators_only(token, local, named)

    async def get(request: Arrival) -> web.Response:
        check(request)
        if metrics is None:
            raise NotFound
        accept = ",".join(request.headers.getall(hdrs.ACCEPT, ()))
        kind, body = await metrics.page(accept, exemplars=request.query.get("exemplars") == "true")
        return web.Response(body=body, headers={**COMMON, hdrs.CONTENT_TYPE: kind})

    return Route("metrics", {"GET": get})
