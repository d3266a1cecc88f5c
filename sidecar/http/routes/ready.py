"""The route GET /ready, for balancers and monitors: 200 while the server should get requests, and a check of each part.

Every check reads what the process knows already, and names no address, number or error.
"""

from collections.abc import Callable

import msgspec
from aiohttp import web

from sidecar.core.jobs import JobsHealth
from sidecar.engine.readiness import Check, provider_check, server_check
from sidecar.engine.service import Service
from sidecar.http.request import Arrival
from sidecar.http.responses.envelope import json_response
from sidecar.http.router import Route


class Checks(msgspec.Struct, frozen=True):
    """State of each part: `ok`, `off` for a part that is not in use, or what is wrong with it."""

    server: Check
    provider: Check
    redis: Check
    worker: Check


class Readiness(msgspec.Struct, frozen=True):
    """The reply of GET /ready."""

    ready: bool
    checks: Checks


def ready_route(
    service: Service,
    jobs: Callable[[], JobsHealth] | None = None,
    provider: Callable[[], Check] | None = None,
) -> Route:
    """Return the route /ready; `jobs` returns the health of jobs, None without jobs.

    `provider` returns the state of the providers where another process calls for them.

    Only the server's own state decides, since a balancer would take every node away from the callers if the provider
    or Redis decided: both are the same for all nodes. With `?strict=1` every check decides.
    """

    async def get(request: Arrival) -> web.Response:
        redis, worker = _jobs_checks(jobs)
        providers = provider_check(service) if provider is None else provider()
        checks = Checks(server_check(service), providers, redis, worker)
        deciding = msgspec.structs.astuple(checks) if request.query.get("strict") == "1" else (checks.server,)
        ready = all(check in {"ok", "off"} for check in deciding)
        return json_response(msgspec.json.encode(Readiness(ready, checks)), 200 if ready else 503)

    return Route("ready", {"GET": get, "HEAD": get})


def _jobs_checks(jobs: Callable[[], JobsHealth] | None) -> tuple[Check, Check]:
    if jobs is None:
        return "off", "off"
    health = jobs()
    return "ok" if health.redis == "up" else "down", "ok" if health.workers else "down"
