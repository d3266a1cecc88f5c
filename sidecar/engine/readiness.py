"""Readiness of one service: what its server and its providers could do with a request now. Nothing is called."""

from typing import Literal

from sidecar.engine.service import Service

Check = Literal["ok", "off", "partly", "starting", "draining", "down"]
"""`partly`: some of several providers are down."""


def server_check(service: Service) -> Check:
    """Return `draining` after a stop signal, `starting` while the provider's client is loaded, else `ok`."""
    if service.admission.draining:
        return "draining"
    return "starting" if service.kernel.calls.gate.closed else "ok"


def provider_check(service: Service) -> Check:
    """Return `down` if the breaker of every provider is open, `partly` if that of some is."""
    closed = [one.limit.breaker.opened_by is None for one in service.kernel.calls.pool.providers]
    if all(closed):
        return "ok"
    return "partly" if any(closed) else "down"
