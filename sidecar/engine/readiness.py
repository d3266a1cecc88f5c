"""Readiness of one service: what its server and its providers could do with a request now. Nothing is called."""

from typing import Literal

from sidecar.core.reach import Reach
from sidecar.engine.service import Service

Check = Literal["ok", "off", "partly", "starting", "draining", "down"]
"""`partly`: some of several providers are down."""


def server_check(service: Service) -> Check:
    """Return `draining` after a stop signal, `starting` while the provider's client is loaded, else `ok`."""
    if service.admission.draining:
        return "draining"
    return "starting" if service.kernel.calls.gate.closed else "ok"


def _named(service: Service) -> list[Reach]:
    """Return the reaches of the tokens that allow some providers only."""
    tokens = service.quotas.tokens if service.quotas is not None else ()
    return [token.reach for token in tokens if token.providers is not None and token.routes & {"ai", "openai"}]


def provider_check(service: Service) -> Check:
    """Return `down` if the breaker of every provider is open, `partly` if that of some is.

    `partly` too where a token allows only providers that are not in force: its callers are refused.
    """
    pool = service.kernel.calls.pool
    closed = [one.limit.breaker.opened_by is None for one in pool.providers]
    if all(closed) and all(pool.serving(reach) for reach in _named(service)):
        return "ok"
    return "partly" if any(closed) else "down"
