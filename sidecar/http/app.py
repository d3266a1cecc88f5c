"""From a request to its door, and from whatever goes wrong to a response: one wrapper around every route.

What a door does is its own file's; how a connection breaks is protocol.py's.
"""

from collections.abc import Awaitable, Callable

from aiohttp import web

from sidecar.core import events
from sidecar.core.errors import InternalError, NotFound, SidecarError
from sidecar.engine.service import Service
from sidecar.http.request import Arrival
from sidecar.http.responses.envelope import REQUEST_ID, WrongMethod
from sidecar.http.router import Handler, Route, Routes

Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def application(doors: Routes, service: Service) -> Answer:
    """What answers every request, from the doors by their path."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        assert isinstance(request, Arrival)  # noqa: S101 - Connections makes no other
        door = doors.find(request.path)
        try:
            response = await _handler(door, request)(request)
        except SidecarError as exc:
            service.log.refused(exc, route=door.name, request_id=request.request_id)
            response = door.refuse(exc)
        except ConnectionError:
            raise  # the caller left in the middle of a stream
        except Exception as exc:
            if request.transport is None:
                raise  # the caller left, and with him what the handler stood on
            events.fault("internal", exc, request_id=request.request_id)
            response = door.refuse(InternalError())
        response.headers[REQUEST_ID] = request.request_id
        body = request.content
        if service.admission.draining or not body.is_eof() or body.exception() is not None:
            response.force_close()
        return response

    return answer


def _handler(door: Route, request: web.BaseRequest) -> Handler:
    if not door.methods:
        raise NotFound
    handler = door.methods.get(request.method)
    if handler is None:
        raise WrongMethod(tuple(door.methods))
    return handler
