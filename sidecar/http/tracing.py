"""Spans of requests: one around each request of a route that works with texts. Used with a tracer only."""

from typing import Final

from aiohttp import web

from sidecar.core.tracing import Tracer
from sidecar.http.app import Answer
from sidecar.http.request import Arrival
from sidecar.http.router import Routes

TRACED: Final = frozenset({"ai", "openai", "jobs"})
"""Names of the routes that have spans; probes of a monitor have none."""


def traced(answer: Answer, routes: Routes, tracer: Tracer) -> Answer:
    """Return `answer` with a span around each request. A caller who leaves ends the span without a status."""

    async def answer_traced(request: web.BaseRequest) -> web.StreamResponse:
        assert isinstance(request, Arrival)  # noqa: S101 - Connections makes no other
        path, route = routes.match(request.path)
        if route.name not in TRACED:
            return await answer(request)
        span = request.span = tracer.request(
            method=request.method if request.method in route.methods else "",
            path=path,
            request_id=request.request_id,
            seconds=request.age,
            parent=request.trace,
        )
        status = 0
        try:
            response = await answer(request)
            status = response.status
            return response
        finally:
            span.end(status)

    return answer_traced
