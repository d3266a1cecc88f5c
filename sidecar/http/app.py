"""The application: finds the route of each request and turns every error into a response.

The routes have files of their own; errors of the connection are protocol.py's.
"""

from collections.abc import Awaitable, Callable

from aiohttp import web

from sidecar.core import events
from sidecar.core.errors import InternalError, NotFound, SidecarError, WrongVersion
from sidecar.engine.request_log import traced
from sidecar.engine.service import Service
from sidecar.http.hosts import Hosts
from sidecar.http.request import Arrival
from sidecar.http.responses.envelope import REQUEST_ID, WrongMethod
from sidecar.http.router import Handler, Route, Routes

Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def application(routes: Routes, service: Service, hosts: Hosts | None = None) -> Answer:
    """Return the handler of every request, which finds the route by its path; `hosts` checks Host, None does not."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        assert isinstance(request, Arrival)  # noqa: S101 - Connections makes no other
        route = routes.find(request.path)
        try:
            _check(request, hosts)
            response = await _handler(routes, route, request)(request)
        except SidecarError as exc:
            service.log.refused(
                exc,
                route=route.name,
                request_id=request.request_id,
                token=request.token,
                user=request.user,
                span=request.span,
            )
            response = route.refuse(exc)
        except ConnectionError:
            raise  # the caller left in the middle of a stream
        except Exception as exc:
            if request.transport is None:
                raise  # the caller has left, and the error is a consequence of that
            events.fault("internal", exc, request_id=request.request_id, **traced(request.span))
            response = route.refuse(InternalError())
        response.headers[REQUEST_ID] = request.request_id
        body = request.content
        whole = request.served_version and body.is_eof() and body.exception() is None
        if service.admission.draining or not whole:
            response.force_close()
        return response

    return answer


def _check(request: Arrival, hosts: Hosts | None) -> None:
    if not request.served_version:
        raise WrongVersion
    if hosts is not None:
        hosts.check(request)


def _handler(routes: Routes, route: Route, request: web.BaseRequest) -> Handler:
    if not route.methods:
        meant = routes.meant(request.path)
        raise NotFound(f"There is nothing at this address; {meant} is probably meant." if meant else None)
    handler = route.methods.get(request.method)
    if handler is None:
        raise WrongMethod(tuple(route.methods))
    return handler
