"""The demo provider's HTTP server: routes, start and stop. provider.py serves the calls."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import msgspec
from aiohttp import web

from sidecar.demo import delivery, errors
from sidecar.demo.call import RefusedError, check_key
from sidecar.demo.options import BadOptionError, Options
from sidecar.demo.provider import MAX_BODY_BYTES, Demo, read_body

__all__ = ["BACKLOG", "Demo", "serve"]

BACKLOG: Final = 4096
"""Connections that the kernel holds until they are accepted: a burst must not be refused here."""
_CHAT: Final = "/chat/completions"
_MODELS: Final = "/models"
_Handler = Callable[[Demo, web.BaseRequest], Awaitable[web.StreamResponse]]


async def _models(demo: Demo, request: web.BaseRequest) -> web.StreamResponse:
    try:
        check_key(request.headers, demo.options)
    except RefusedError as exc:
        return delivery.refused(exc.refusal)
    names = [name.strip() for name in demo.options.models.split(",") if name.strip()] or ["demo"]
    models = [{"id": name, "object": "model", "created": 0, "owned_by": "demo-upstream"} for name in names]
    return _json({"object": "list", "data": models})


async def _health(_demo: Demo, _request: web.BaseRequest) -> web.StreamResponse:
    return _json({"status": "healthy", "service": "demo-upstream"})


async def _stats(demo: Demo, _request: web.BaseRequest) -> web.StreamResponse:
    return _json(demo.stats)


async def _reset(demo: Demo, _request: web.BaseRequest) -> web.StreamResponse:
    demo.reset()
    return _json(demo.options)


async def _behave(demo: Demo, request: web.BaseRequest) -> web.StreamResponse:
    try:
        changes = msgspec.json.decode(await read_body(request), type=dict[str, Any])
        return _json(demo.behave(**changes))
    except RefusedError as exc:
        return delivery.refused(exc.refusal)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, BadOptionError) as exc:
        return delivery.refused(errors.invalid(str(exc), code="unknown_demo_option"))


_ROUTES: Final[dict[str, tuple[str, _Handler]]] = {
    _CHAT: ("POST", Demo.chat),
    _MODELS: ("GET", _models),
    "/health": ("GET", _health),
    "/demo/stats": ("GET", _stats),
    "/demo/reset": ("POST", _reset),
    "/demo/behave": ("POST", _behave),
}


async def _answer(demo: Demo, request: web.BaseRequest) -> web.StreamResponse:
    # Base URLs differ, so only the end of the path counts.
    path = request.path
    if path.endswith(_CHAT):
        path = _CHAT
    elif path.endswith(_MODELS):
        path = _MODELS
    method, handler = _ROUTES.get(path, ("", None))
    if handler is None:
        return delivery.refused(errors.invalid("Unknown request URL.", status=404, code="unknown_url"))
    if request.method != method:
        message = f"Only {method} is allowed on this URL."
        return delivery.refused(errors.invalid(message, status=405, code="method_not_supported"))
    return await handler(demo, request)


def _json(content: Any) -> web.Response:
    return delivery.whole(("application/json", msgspec.json.encode(content)), {})


@contextlib.asynccontextmanager
async def serve(
    options: Options | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    sock: socket.socket | None = None,
    keep: int = 0,
    clock: Callable[[], float] = time.monotonic,
) -> AsyncIterator[Demo]:
    """Run a demo provider on `host` and `port` (0 picks one), or on a socket that is bound already.

    The last `keep` calls are stored in `.received`; `clock` (seconds, monotonic) drives the rate windows. Leaving the
    block ends every connection at once: a waiting caller sees a provider that went away.

    Raises:
        OSError: the address cannot be bound.

    """
    demo = Demo(options or Options(), keep=keep, clock=clock)

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        return await _answer(demo, request)

    def make_request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
        loop = asyncio.get_running_loop()
        return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=MAX_BODY_BYTES)

    # The low-level server spares each call the router. handler_cancellation frees the slot of a caller who leaves.
    # There is no access log because a log line would cost more than the answer.
    server = web.Server(answer, request_factory=make_request, handler_cancellation=True, access_log=None)
    runner = web.ServerRunner(server, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site: web.BaseSite
        if sock is not None:
            site = web.SockSite(runner, sock, backlog=BACKLOG)
        else:
            site = web.TCPSite(runner, host, port, backlog=BACKLOG)
        await site.start()
        bound_host, bound_port = runner.addresses[0][:2]
        demo.url = f"http://[{bound_host}]:{bound_port}" if ":" in bound_host else f"http://{bound_host}:{bound_port}"
        yield demo
    finally:
        for connection in server.connections:
            if connection.transport is not None:
                connection.transport.abort()
        await runner.cleanup()
