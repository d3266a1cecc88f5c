"""The OpenAI-compatible routes: chat completions at their three addresses, the models, and unknown paths near them.

Bytes to a raw completion, the engine's answer to bytes; every error in OpenAI's shape.
"""

from collections.abc import Mapping
from functools import partial
from typing import Final

import msgspec
from aiohttp import web

from sidecar.config.settings import Settings
from sidecar.core.errors import InternalError, SidecarError
from sidecar.core.off_loop import THREAD_BYTES, off_loop
from sidecar.core.reach import reach_of
from sidecar.engine.limiter.trace import Trace
from sidecar.engine.request import CompletionRequest
from sidecar.engine.service import Service
from sidecar.http.auth import Guard
from sidecar.http.body import received
from sidecar.http.limits import charge, held, look
from sidecar.http.request import Arrival
from sidecar.http.responses.envelope import PROVIDER, json_response
from sidecar.http.responses.event_stream import EventStream
from sidecar.http.responses.openai import BodyShape
from sidecar.http.responses.openai_errors import NoModel, refuse
from sidecar.http.router import Handler, Route
from sidecar.http.schemas.completion_policy import PLAIN, Policy, policy_of
from sidecar.http.schemas.completions import CompletionBody, checked, fields_in

NAME: Final = "openai"
_DEPLOYMENTS: Final = "/openai/deployments/"
_CHAT: Final = "/chat/completions"


def openai_routes(service: Service, settings: Settings, guard: Guard | None) -> Mapping[str, Route]:
    """Return the routes by path; `guard` checks the token, None for no check."""
    chat = _route({"POST": _Chat(service, settings, guard).post})
    listed = partial(_models, service, guard)
    named = partial(_model, service, guard)
    models, model = (_route({"GET": handler, "HEAD": handler}) for handler in (listed, named))
    nothing = _route({})
    return {
        "/v1/chat/completions": chat,
        "/chat/completions": chat,
        f"{_DEPLOYMENTS}{{deployment}}{_CHAT}": chat,
        "/v1/models": models,
        "/v1/models/{id}": model,
        "/models": models,
        "/models/{id}": model,
        # Mistyped paths: their callers expect the error in the same shape.
        "/v1": nothing,
        "/v1/{rest}": nothing,
        "/chat": nothing,
        "/chat/{rest}": nothing,
        "/openai": nothing,
        "/openai/{rest}": nothing,
        # Paths with a slash too many pass nginx unchanged.
        "//v1/{rest}": nothing,
        "//chat/{rest}": nothing,
        "//openai/{rest}": nothing,
    }


def _route(methods: Mapping[str, Handler]) -> Route:
    return Route(NAME, methods, refuse)


class _Chat:
    """Handler of chat completions."""

    def __init__(self, service: Service, settings: Settings, guard: Guard | None) -> None:
        self._service = service
        self._settings = settings
        self._guard = guard

    async def post(self, request: Arrival) -> web.StreamResponse:
        if self._guard is not None:
            self._guard.check(request)
        look(self._service, request)
        settings, service = self._settings, self._service
        limit, seconds = settings.max_body_bytes, settings.request_timeout
        parsing = partial(self._parsed, request.path)
        async with received(request, service, parsing, limit=limit, timeout=seconds) as body:
            parsed = body.parsed
            policy = policy_of(request.query.get("action", "")) if request.query_string else PLAIN
            user = service.kernel.pseudonym(parsed.user)
            completing = CompletionRequest(
                call=msgspec.structs.replace(parsed.call, user=user) if user else parsed.call,
                user_id=parsed.user,
                action=policy.action,
                shared=policy.shared,
                background=policy.background or request.background,
                token=request.token,
                providers=request.providers,
                charge=charge(service, request, parsed.user),
                deadline=body.deadline,
                request_id=request.request_id,
                route=NAME,
                origin=request.origin,
                arrived=request.arrived,
                place=body.place,
                fresh=request.fresh,
                span=request.span,
            )
            async with held(service, request, parsed.user):
                if parsed.stream:
                    return await self._stream(completing, request)
                return await self._whole(completing, policy)

    async def _parsed(self, path: str, body: bytes) -> tuple[CompletionBody, int]:
        check = partial(
            checked,
            max_tokens=self._settings.completion_max_tokens,
            passthrough=self._settings.model_passthrough,
            deployment=_deployment(path),
        )
        size = len(body)
        if size < THREAD_BYTES:
            parsed = check(fields_in(body))
        else:
            parsed = await off_loop(size, check, await off_loop(size, fields_in, body))
        return parsed, parsed.held

    async def _whole(self, completing: CompletionRequest, policy: Policy) -> web.Response:
        shape = BodyShape(
            model=completing.call.model or next(iter(self._service.kernel.calls.pool.models(completing.reach)), ""),
            fallback_id=f"chatcmpl-{completing.request_id}",
            spaced=policy.spaced,
        )
        trace = Trace(span=completing.span)
        answer = await self._service.completions.answer(completing, shape, trace)
        if isinstance(answer, SidecarError):
            return refuse(answer)
        response = json_response(answer)
        if trace.provider:
            response.headers[PROVIDER] = trace.provider
        return response

    async def _stream(self, completing: CompletionRequest, request: Arrival) -> web.StreamResponse:
        trace = Trace(span=completing.span)
        events = EventStream(request, trace, last=self._service.admission.draining)
        failure = await self._service.completions.stream(completing, events.send, trace)
        if events.response is None:
            return refuse(failure or InternalError())
        await events.end(events.response, failure)
        return events.response


def _deployment(path: str) -> str:
    return path.removeprefix(_DEPLOYMENTS).removesuffix(_CHAT) if path.startswith(_DEPLOYMENTS) else ""


async def _models(service: Service, guard: Guard | None, request: Arrival) -> web.Response:
    if guard is not None:
        guard.check(request)
    listed = [_model_object(name) for name in _names(service, request)]
    return json_response(msgspec.json.encode({"object": "list", "data": listed}))


async def _model(service: Service, guard: Guard | None, request: Arrival) -> web.Response:
    if guard is not None:
        guard.check(request)
    name, known = request.path.partition("/models/")[2], _names(service, request)
    if name not in known:
        raise NoModel(next(iter(known), ""))
    return json_response(msgspec.json.encode(_model_object(name)))


def _names(service: Service, request: Arrival) -> list[str]:
    """Return the models that answer the caller; PROVIDERS_FILE may name several, and a token some of them."""
    reach = reach_of("background" if request.background else "interactive", request.providers)
    return service.kernel.calls.pool.models(reach)


def _model_object(name: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "openai-moodle-sidecar"}
