"""The status of one service, in plain numbers for operators and benchmarks. Nothing of a request is in it."""

from collections.abc import Sequence

import msgspec

from sidecar.engine.limiter.limit import Limit
from sidecar.engine.limiter.pool import Pool
from sidecar.engine.limiter.pooled_limit import PooledLimit
from sidecar.engine.limiter.provider import Provider
from sidecar.engine.readiness import provider_check
from sidecar.engine.service import Service


class Held(msgspec.Struct, frozen=True):
    """A bounded number: now, and at most."""

    now: int
    most: int


class Slots(msgspec.Struct, frozen=True):
    """Provider calls."""

    running: int
    waiting: int
    found: int
    """Calls that the provider is thought to take at once."""
    ceiling: int
    """CONCURRENCY."""


class Found(msgspec.Struct, frozen=True):
    """The limit, and what set it."""

    calls: float
    """Calls at once; below one, the share of the time that one may run."""
    fact: bool
    """True while callers are refused because of the limit."""
    why: str
    """Cause of the last change; blank at the start."""
    spacing: float
    """Seconds between two calls."""
    refused: int
    """Calls refused by the provider since the start."""
    refusal_seconds: float
    """Seconds that a refusal takes, smoothed."""


class ProviderStatus(msgspec.Struct, frozen=True):
    """One of several providers."""

    priority: int
    classes: list[str]
    """Classes of texts that the provider may have."""
    running: int
    slots: int
    ceiling: int
    """The provider's `concurrency`."""
    limit: Found
    call_seconds: float
    pause: float
    breaker: str


class TokenStatus(msgspec.Struct, frozen=True):
    """A named token that allows some providers only."""

    providers: list[str]
    """Their names in TOKENS_FILE."""
    breaker: str
    """`open` while none of them is up or known."""
    waiting: int
    """Provider calls that wait for a slot, of all tokens with these providers."""


class Shared(msgspec.Struct, frozen=True):
    """Single flight and the answer cache; `kept` are the answers in the cache."""

    under_way: int
    joined: int
    hits: int
    kept: int
    kept_bytes: int


class Processes(msgspec.Struct, frozen=True):
    """Serving processes of one service."""

    serving: int
    configured: int
    """PROCESSES."""
    restarts: int
    """Starts of a process in the place of one that ended."""


class Status(msgspec.Struct, frozen=True):
    """The keys of GET /status; times in seconds. docs/operations.md explains them."""

    state: str
    places: Held
    bytes: Held
    slots: Slots
    limit: Found
    oldest_wait: float
    call_seconds: float
    drain_rate: float
    pause: float
    breaker: str
    answers: dict[str, int]
    flights: Shared
    providers: dict[str, ProviderStatus] | msgspec.UnsetType = msgspec.UNSET
    """The providers by name, with PROVIDERS_FILE."""
    tokens: dict[str, TokenStatus] | msgspec.UnsetType = msgspec.UNSET
    """The tokens that allow some providers only, by name; absent without any."""
    processes: Processes | msgspec.UnsetType = msgspec.UNSET
    """The serving processes, where there are several."""
    jobs: object = msgspec.UNSET
    """The jobs, as the capability that stores them describes them."""


def status_of(service: Service) -> Status:
    """Return the status now."""
    admission, calls, flights = service.admission, service.kernel.calls, service.kernel.flights
    limit = calls.limit
    limit.settle()
    return Status(
        state="draining" if admission.draining else "serving",
        places=Held(admission.held, admission.places),
        bytes=Held(admission.held_bytes, admission.size),
        slots=Slots(calls.gate.running, calls.gate.waiting, limit.slots, limit.ceiling),
        limit=_found(limit),
        oldest_wait=round(calls.gate.oldest_wait, 3),
        call_seconds=round(limit.holding, 3),
        drain_rate=round(calls.answered.per_second(), 2),
        pause=round(limit.pause, 3),
        breaker=limit.breaker.state,
        answers=dict(sorted(service.log.codes.items())),
        flights=Shared(len(flights), flights.joined, flights.hits, len(flights.cache), flights.cache.held),
        providers=_providers(calls.pool),
        tokens=_tokens(service),
    )


def status_line(services: Sequence[Service]) -> str:
    """Return the status of the services of one process in a line: queue, calls in flight, breakers."""
    calls = [service.kernel.calls for service in services]
    running, waiting = sum(one.gate.running for one in calls), sum(one.gate.waiting for one in calls)
    slots = sum(one.limit.slots for one in calls)
    provider = next((check for service in services if (check := provider_check(service)) != "ok"), "ok")
    return f"{waiting} calls waiting, {running} in flight of {slots}, provider {provider}"


def _providers(pool: Pool) -> dict[str, ProviderStatus] | msgspec.UnsetType:
    """Return the status of each provider; unset without PROVIDERS_FILE, where the provider has no name."""
    return {one.name: _provider(one) for one in pool.providers if one.name} or msgspec.UNSET


def _tokens(service: Service) -> dict[str, TokenStatus] | msgspec.UnsetType:
    calls, found = service.kernel.calls, {}
    for token in service.quotas.tokens if service.quotas is not None else ():
        if token.providers is None:
            continue
        reach = token.reach
        up = calls.pool.serving(reach) and calls.pool.limit_of(reach).breaker.opened_by is None
        waiting = calls.gate.waiting_of(reach)
        found[token.name] = TokenStatus(list(token.providers), "closed" if up else "open", waiting)
    return found or msgspec.UNSET


def _provider(provider: Provider) -> ProviderStatus:
    limit = provider.limit
    return ProviderStatus(
        priority=provider.priority,
        classes=sorted(provider.traffic),
        running=provider.running,
        slots=limit.slots,
        ceiling=limit.ceiling,
        limit=_found(limit),
        call_seconds=round(limit.holding, 3),
        pause=round(limit.pause, 3),
        breaker=limit.breaker.state,
    )


def _found(limit: Limit | PooledLimit) -> Found:
    if isinstance(limit, PooledLimit):
        why, refused, seconds = "", limit.refused, limit.refusal_seconds
    else:
        why, refused, seconds = limit.why, limit.refusals.count, limit.refusal_time.seconds
    return Found(
        calls=round(limit.found, 3),
        fact=limit.fact,
        why=why,
        spacing=round(limit.gap, 4),
        refused=refused,
        refusal_seconds=round(seconds, 4),
    )
