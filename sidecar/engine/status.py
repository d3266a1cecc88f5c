"""What an engine is doing, in plain numbers for operators and benchmarks. Nothing of a request is in it."""

import msgspec

from sidecar.engine.engine import Engine


class Held(msgspec.Struct, frozen=True):
    """So many now, of so many at most."""

    now: int
    most: int


class Slots(msgspec.Struct, frozen=True):
    """Provider calls."""

    running: int
    waiting: int
    found: int
    """What the provider is thought to take at once."""
    ceiling: int
    """CONCURRENCY."""


class Shared(msgspec.Struct, frozen=True):
    """Work that several callers have in common."""

    under_way: int
    joined: int
    hits: int
    kept: int
    kept_bytes: int


class Status(msgspec.Struct, frozen=True):
    """The keys of GET /status; times in seconds. docs/operations.md explains them."""

    state: str
    places: Held
    bytes: Held
    slots: Slots
    oldest_wait: float
    call_seconds: float
    drain_rate: float
    pause: float
    breaker: str
    answers: dict[str, int]
    flights: Shared
    jobs: object = msgspec.UNSET
    """What an edge that keeps jobs tells of them."""


def status_of(engine: Engine) -> Status:
    """The status now."""
    admission, calls, flights = engine.admission, engine.calls, engine.flights
    return Status(
        state="draining" if admission.draining else "serving",
        places=Held(admission.held, admission.places),
        bytes=Held(admission.held_bytes, admission.size),
        slots=Slots(calls.gate.running, calls.gate.waiting, calls.limit.slots, calls.limit.ceiling),
        oldest_wait=round(calls.gate.oldest_wait, 3),
        call_seconds=round(calls.limit.holding, 3),
        drain_rate=round(calls.answered.per_second(), 2),
        pause=round(calls.limit.pause, 3),
        breaker=calls.limit.breaker.state,
        answers=dict(sorted(engine.answers.items())),
        flights=Shared(len(flights), flights.joined, flights.hits, len(flights.kept), flights.kept.held),
    )
