"""Limits by site, token and user, as the routes use them. Without TOKENS_FILE nothing is counted."""

from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Final

from sidecar.core.contract import Request
from sidecar.engine.limiter.trace import Charge
from sidecar.engine.request import user_at
from sidecar.engine.service import Service
from sidecar.http.request import Arrival

_UNLIMITED: Final = nullcontext()


def look(service: Service, request: Arrival, *, hold: bool = True) -> None:
    """Raise `Limited` where the limits of site or token refuse: right after the guard, before a byte of the body.

    Without `hold` the request needs no place among those under way.
    """
    if service.quotas is not None:
        service.quotas.look(request.token, hold=hold)


def held(service: Service, request: Arrival, user: str) -> AbstractAsyncContextManager[None]:
    """Count a request, which is under way while the block lasts; raise `Limited` where a limit is reached."""
    if service.quotas is None:
        return _UNLIMITED
    request.user = user_at(request.token, user)
    return service.quotas.held(request.token, user)


def charge(service: Service, request: Arrival, user: str) -> Charge | None:
    """Return the function that counts the tokens of a request; None where none are limited."""
    return None if service.quotas is None else service.quotas.charge(request.token, user)


async def count_jobs(service: Service, request: Arrival, jobs: list[Request]) -> None:
    """Count jobs where they are submitted; raise `Limited` where a limit is reached."""
    if service.quotas is None:
        return
    users: dict[str, int] = {}
    for job in jobs:
        users[job.user_id] = users.get(job.user_id, 0) + 1
    await service.quotas.count(request.token, users)
