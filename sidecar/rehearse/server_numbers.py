"""Numbers of the rehearsed sidecar (`GET /status`) and of its demo provider, before and after the class."""

from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

Count = Annotated[int, Meta(ge=0)]
Seconds = Annotated[float, Meta(ge=0, le=86_400)]
_Numbers = TypeVar("_Numbers", bound=msgspec.Struct)


class _Slots(msgspec.Struct, frozen=True):
    found: Count = 0
    ceiling: Count = 0


class _Limit(msgspec.Struct, frozen=True):
    refused: Count = 0


class _Places(msgspec.Struct, frozen=True):
    most: Count = 0


class _Flights(msgspec.Struct, frozen=True):
    joined: Count = 0
    hits: Count = 0


class ServerNumbers(msgspec.Struct, frozen=True):
    """Part of the sidecar's status that a rehearsal needs."""

    slots: _Slots
    places: _Places
    flights: _Flights
    limit: _Limit = _Limit()
    call_seconds: Seconds = 0.0
    answers: dict[str, Count] = {}

    @property
    def shared(self) -> int:
        """Requests since the start that cost no provider call of their own."""
        return self.flights.joined + self.flights.hits


class DemoNumbers(msgspec.Struct, frozen=True):
    """Part of the demo provider's counters that a rehearsal needs."""

    answered: Count = 0
    refused: Count = 0


class ProviderCalls(msgspec.Struct, frozen=True):
    """Calls of the rehearsal at the provider."""

    answered: int
    refused: int
    saved: int
    """Clicks that shared a call, or had an answer from the cache."""
    source: Literal["demo", "status"]
    """The demo provider's counters, or an estimate from the sidecar's status: answered clicks less those saved."""
    others: int = 0
    """Requests of other callers of the same sidecar meanwhile, which the numbers include."""


def read_server(found: tuple[int, bytes] | None) -> ServerNumbers | None:
    """Return the numbers in a response of /status; None where there are none."""
    return _read(found, ServerNumbers)


def read_demo(found: tuple[int, bytes] | None) -> DemoNumbers | None:
    """Return the numbers in a response of /demo/stats; None where there are none."""
    return _read(found, DemoNumbers)


def _read(found: tuple[int, bytes] | None, kind: type[_Numbers]) -> _Numbers | None:
    if found is None or found[0] != 200:
        return None
    try:
        return msgspec.json.decode(found[1], type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def provider_calls(
    before: ServerNumbers | None, after: ServerNumbers | None, demo: DemoNumbers | None, *, clicks: int, answered: int
) -> ProviderCalls | None:
    """Return the calls that `clicks` requests led to, `answered` of them answered; None without a status."""
    if before is None or after is None:
        return None
    saved = max(0, after.shared - before.shared)
    others = max(0, sum(after.answers.values()) - sum(before.answers.values()) - clicks)
    if demo is not None:
        return ProviderCalls(demo.answered, demo.refused, saved, "demo", others)
    refused = max(0, after.limit.refused - before.limit.refused)
    return ProviderCalls(max(0, answered - saved), refused, saved, "status", others)
