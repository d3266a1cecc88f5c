"""Models of the events of GET /dashboard/events; docs/dashboard.md explains the columns of samples."""

from typing import Literal

from sidecar.http.openapi.base import Shape
from sidecar.http.openapi.status import Count, Seconds, Status


class Advice(Shape):
    """Something that is wrong now, and what to do."""

    check: str
    state: Literal["warning", "failed"]
    what: str
    do: str


class Quantiles(Shape):
    """Seconds that half, and 95 of 100, of the last minute's values do not pass; null without a value."""

    p50: Seconds | None
    p95: Seconds | None


class Rates(Shape):
    """Requests a second by outcome, over the last ten seconds."""

    answered: Seconds
    """Answers, shared ones included."""
    shared: Seconds
    refused: Seconds
    failed: Seconds
    left: Seconds
    """Callers who left."""


class DashboardProvider(Shape):
    """One provider; times and answers are the last minute's."""

    name: str
    """Blank without PROVIDERS_FILE."""
    down: str
    """Code of the failure that opened the breaker; blank while it is closed."""
    running: Count
    slots: Count
    ceiling: Count
    pause: Seconds
    latency: Quantiles
    answered: Count


class Refused(Shape):
    """Requests without an answer in the last minute."""

    route: str
    token: str
    """Name of the callers' token."""
    cause: str
    kind: Literal["refused", "failed", "caller"]
    count: Count


class RefusedUser(Shape):
    """A user with requests among them."""

    id: str
    """A hash, which changes at every start."""
    count: Count


class TokensToday(Shape):
    """Tokens since midnight, or since the start where that was later."""

    since: Seconds
    prompt: Count
    completion: Count
    actions: dict[str, Count]


class DashboardNow(Shape):
    """The event `now`, one a second."""

    at: Seconds
    """Seconds since 1970."""
    started: Seconds
    version: str
    status: Status
    rates: Rates
    wait: Quantiles
    latency: Quantiles
    providers: list[DashboardProvider]
    refused: list[Refused]
    """The rows with the most requests."""
    unlisted: Count
    """Requests without an answer that are in no row."""
    affected: Count
    """Users among them, as far as they are named."""
    users: list[RefusedUser]
    """Those with the most."""
    tokens: TokensToday
    advice: list[Advice]
    second: dict[str, float | None]
    """The last second as a sample: numbers by column."""
    sample: dict[str, float | None] | None
    """The last five seconds as a sample of the hour, in one event of five."""


class DashboardPast(Shape):
    """The event `past`, the first one: samples by column."""

    seconds: dict[str, list[float | None]]
    """Each second of the last five minutes."""
    hour: dict[str, list[float | None]]
    """Every five seconds of the last hour."""
