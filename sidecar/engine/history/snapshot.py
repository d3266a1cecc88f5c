"""Shapes of the dashboard's events: one snapshot a second, and the past once. Nothing of a request is in them."""

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from sidecar.engine.status import Status


class Advice(msgspec.Struct, frozen=True):
    """Something that is wrong now, and the remedy: `failed` keeps callers from answers, `warning` is a risk."""

    check: str
    state: Literal["warning", "failed"]
    what: str
    do: str


class Quantiles(msgspec.Struct, frozen=True):
    """Seconds that half, and 95 of 100, of the last minute's values do not pass; None without a value."""

    p50: float | None
    p95: float | None


class Rates(msgspec.Struct, frozen=True):
    """Requests a second by outcome, over the last ten seconds. `answered` includes `shared`."""

    answered: float
    shared: float
    refused: float
    failed: float
    left: float


class Provider(msgspec.Struct, frozen=True):
    """One provider. Seconds and numbers are the last minute's."""

    name: str
    """Blank without PROVIDERS_FILE."""
    down: str
    """Code of the failure that opened the breaker; blank while the breaker is closed."""
    running: int
    slots: int
    ceiling: int
    pause: float
    latency: Quantiles
    answered: int


class Refused(msgspec.Struct, frozen=True):
    """Requests without an answer in the last minute, by cause and by their route and token."""

    route: str
    token: str
    cause: str
    kind: Literal["refused", "failed", "caller"]
    """`refused`: turned away; `failed`: no answer in spite of work; `caller`: a mistake of the caller."""
    count: int


class RefusedUser(msgspec.Struct, frozen=True):
    """A user without answers in the last minute, by a hash that only this process knows."""

    id: str
    count: int


class Tokens(msgspec.Struct, frozen=True):
    """Tokens since midnight, or since the start where that was later."""

    since: float
    """Seconds since 1970."""
    prompt: int
    completion: int
    actions: Mapping[str, int]
    """Tokens of both kinds by action; blank for requests without one."""


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """State of the sidecar now."""

    at: float
    """Seconds since 1970."""
    started: float
    version: str
    status: Status
    """As GET /status has it, jobs included."""
    rates: Rates
    wait: Quantiles
    latency: Quantiles
    providers: Sequence[Provider]
    refused: Sequence[Refused]
    unlisted: int
    """Requests of further rows, those with the fewest."""
    affected: int
    """Users among them, as far as they are named."""
    users: Sequence[RefusedUser]
    tokens: Tokens
    advice: Sequence[Advice]
    second: Mapping[str, float | None]
    """The last second as a sample, with its end as `at`."""
    sample: Mapping[str, float | None] | None
    """The last five seconds as a sample of the hour, in the one snapshot of five that ends them."""


class Past(msgspec.Struct, frozen=True):
    """Samples by column: each second of the last five minutes, and every five seconds of the last hour."""

    seconds: Mapping[str, Sequence[float | None]]
    hour: Mapping[str, Sequence[float | None]]
