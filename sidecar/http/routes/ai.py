"""The route POST /ai: bytes to a request, the engine's reply to bytes."""

from functools import partial

from aiohttp import web

from sidecar.config.settings import Settings
from sidecar.core.contract import Request, of_token, parse_request
from sidecar.core.off_loop import THREAD_BYTES, off_loop
from sidecar.engine.request import ActionRequest
from sidecar.engine.service import Service
from sidecar.http.auth import Guard
from sidecar.http.body import received
from sidecar.http.limits import charge, held, look
from sidecar.http.request import Arrival
from sidecar.http.responses.envelope import failure_response, reply_response
from sidecar.http.router import Route

NAME = "ai"


def ai_route(service: Service, settings: Settings, guard: Guard | None) -> Route:
    """Return the route; `guard` checks the token, None for no check."""
    post = partial(_answer, service=service, settings=settings, guard=guard)
    return Route(NAME, {"POST": post}, partial(failure_response, strict=settings.strict_status))


async def _answer(request: Arrival, service: Service, settings: Settings, guard: Guard | None) -> web.Response:
    if guard is not None:
        guard.check(request)
    look(service, request)
    limit, seconds = settings.max_body_bytes, settings.request_timeout
    async with received(request, service, _parsed, limit=limit, timeout=seconds) as body:
        parsed = body.parsed
        action = ActionRequest(
            request=of_token(parsed, request.token, request.providers),
            deadline=body.deadline,
            request_id=request.request_id,
            route=NAME,
            origin=request.origin,
            arrived=request.arrived,
            place=body.place,
            fresh=request.fresh,
            background=request.background,
            token=request.token,
            charge=charge(service, request, parsed.user_id),
            span=request.span,
        )
        if service.quotas is None:
            outcome = await service.engine.answer(action)
        else:
            async with held(service, request, parsed.user_id):
                outcome = await service.engine.answer(action)
    respond = partial(reply_response, strict=settings.strict_status, wait=outcome.retry_after)
    return await off_loop(len(outcome.reply.data or ""), respond, outcome.reply)


async def _parsed(body: bytes) -> tuple[Request, int]:
    request = parse_request(body) if len(body) < THREAD_BYTES else await off_loop(len(body), parse_request, body)
    return request, request.held
