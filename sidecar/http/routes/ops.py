"""The routes for operators: GET /health, which does no work and needs no token, and GET /status.

/status has numbers only; it is open to this machine, and to others with the token.
"""

import ipaddress
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
from aiohttp import web

from sidecar.core.errors import Unauthorized
from sidecar.engine.service import Service
from sidecar.engine.status import status_of
from sidecar.http.auth import Guard, Named
from sidecar.http.request import Arrival
from sidecar.http.responses.envelope import json_response
from sidecar.http.router import Route

HEALTHY: Final = b'{"status": "healthy", "service": "openai-moodle-sidecar"}'
_FORWARDED: Final = ("X-Forwarded-For", "X-Real-IP", "Forwarded", "X-Forwarded-Host", "X-Forwarded-Proto", "Via")
"""Headers with which a proxy says that it passes on another machine's request."""
DRAINING: Final = b'{"status": "draining", "service": "openai-moodle-sidecar"}'


def health_route(service: Service) -> Route:
    """Return the route /health: 200 while requests are accepted, 503 while draining."""

    async def get(_request: Arrival) -> web.Response:
        return json_response(DRAINING, 503) if service.admission.draining else json_response(HEALTHY)

    return Route("health", {"GET": get, "HEAD": get})


def operators_only(
    token: str, local: Callable[[str], bool] | None = None, named: Named | None = None
) -> Callable[[Arrival], None]:
    """Return the check of routes for operators: this machine passes, other callers need `token`, the sidecar's.

    A token of `named` for the route `status` will do too. Without any token no other machine passes. A request that a
    proxy on this machine passes on is not this machine's. `local` tests whether an address is this machine's.
    """
    trusted = local or is_local
    guard = Guard(token, named)

    def check(request: Arrival) -> None:
        if trusted(request.origin) and not any(name in request.headers for name in _FORWARDED):
            return
        if not guard.armed:
            raise Unauthorized
        guard.check(request)

    return check


def status_route(
    service: Service,
    token: str,
    local: Callable[[str], bool] | None = None,
    jobs: Callable[[], object] | None = None,
    whole: Callable[[], Awaitable[bytes]] | None = None,
) -> Route:
    """Return the route /status, the engine's numbers, for operators only.

    `jobs` returns the numbers of jobs, None without jobs; `whole` the body for several processes, None for one.
    """
    check = operators_only(token, local, service.quotas)

    async def get(request: Arrival) -> web.Response:
        check(request)
        if whole is not None:
            return json_response(await whole())
        status = status_of(service)
        if jobs is not None:
            status = msgspec.structs.replace(status, jobs=jobs())
        return json_response(msgspec.json.encode(status))

    return Route("status", {"GET": get})


def is_local(address: str) -> bool:
    """Return whether only this machine has the address."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
        return (getattr(ip, "ipv4_mapped", None) or ip).is_loopback
    except ValueError:
        return True  # a unix socket has no address, and only this machine reaches it
