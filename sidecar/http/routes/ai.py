"""The route POST /ai: bytes to a request, the engine's reply to bytes."""

from functools import partial

import msgspec
from aiohttp import web

from sidecar.config.settings import Settings
from sidecar.core.contract import parse_request
from sidecar.core.errors import DeadlineExceeded
from sidecar.engine.request import ActionRequest
from sidecar.engine.service import Service
from sidecar.http.auth import Guard
from sidecar.http.body import check_type, read_body, to_reserve
from sidecar.http.limits import charge, held, look
from sidecar.http.request import Arrival
from sidecar.http.responses.envelope import failure_response, reply_response
from sidecar.http.router import Route

NAME = "ai"


def ai_route(service: Service, settings: Settings, guard: Guard | None) -> Route:
    """Return the route; `guard` checks the token, None for no check."""

    async def post(request: Arrival) -> web.Response:
        return await _answer(request, service, settings, guard)

    return Route(NAME, {"POST": post}, partial(failure_response, strict=settings.strict_status))


async def _answer(request: Arrival, service: Service, settings: Settings, guard: Guard | None) -> web.Response:
    if guard is not None:
        guard.check(request)
    look(service, request)
    check_type(request)
    limit = settings.max_body_bytes
    with service.admission.admit(to_reserve(request, limit), pending=not request.content.is_eof()) as place:
        deadline = request.deadline(settings.request_timeout)
        # No name is bound to the raw body, so that its memory is free while the engine works.
        parsed = parse_request(await read_body(request, service.drain, place, limit=limit, deadline=deadline))
        action = ActionRequest(
            request=msgspec.structs.replace(parsed, token=request.token) if request.token else parsed,
            deadline=deadline,
            request_id=request.request_id,
            route=NAME,
            origin=request.origin,
            arrived=request.arrived,
            place=place,
            fresh=request.fresh,
            background=request.background,
            token=request.token,
            charge=charge(service, request, parsed.user_id),
            span=request.span,
        )
        if service.clock() >= deadline:
            # The request itself was late; the engine's estimate of the wait would call that overloaded.
            raise DeadlineExceeded
        async with held(service, request, parsed.user_id):
            outcome = await service.engine.answer(action)
    return reply_response(outcome.reply, strict=settings.strict_status, wait=outcome.retry_after)
