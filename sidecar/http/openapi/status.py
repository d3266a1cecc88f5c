"""Models of GET /health, GET /ready and GET /status."""

from typing import Annotated, Literal

from pydantic import Field

from sidecar.http.openapi.base import Shape

Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0)]


class Healthy(Shape):
    """Requests are taken."""

    status: Literal["healthy"]
    service: Literal["openai-moodle-sidecar"]


class Draining(Shape):
    """The server is about to end and takes no new request."""

    status: Literal["draining"]
    service: Literal["openai-moodle-sidecar"]


class Checks(Shape):
    """State of each part: `ok`, or what is wrong with it. A part that is not in use is `off`."""

    server: Literal["ok", "starting", "draining"]
    """`starting`: the provider's client is still being loaded."""
    provider: Literal["ok", "partly", "down"]
    """By the breakers: `partly` if some of several providers are down."""
    redis: Literal["ok", "off", "down"]
    worker: Literal["ok", "off", "down"]
    """`down`: no worker is alive, and jobs wait."""


class Ready(Shape):
    """The server should get requests."""

    ready: Literal[True]
    checks: Checks


class NotReady(Shape):
    """The server should get no requests."""

    ready: Literal[False]
    checks: Checks


class Held(Shape):
    """So many now, of so many at most."""

    now: Count
    most: Count


class Slots(Shape):
    """Provider calls."""

    running: Count
    waiting: Count
    found: Count
    """Calls that the provider is thought to take at once."""
    ceiling: Count
    """CONCURRENCY."""


class Limit(Shape):
    """The provider's limit as it was found."""

    calls: Seconds
    """Calls at once; below one, the share of the time that one call may run."""
    fact: bool
    """True while callers are refused by the limit."""
    why: str
    """Cause of the last change; blank at the start."""
    spacing: Seconds
    """Seconds between two calls."""
    refused: Count
    """Calls that the provider refused since the start."""
    refusal_seconds: Seconds
    """Seconds that a refusal takes, smoothed."""


class Provider(Shape):
    """One of several providers."""

    priority: Count
    """The lowest number that has room gets a call."""
    classes: list[Literal["background", "interactive", "jobs"]]
    """Classes of texts that the provider may have."""
    running: Count
    slots: Count
    """Calls that the provider is thought to take at once."""
    ceiling: Count
    """The provider's `concurrency`."""
    limit: Limit
    call_seconds: Seconds
    pause: Seconds
    breaker: Literal["closed", "open"]


class Token(Shape):
    """A named token that allows some providers only."""

    providers: list[str]
    """Their names in TOKENS_FILE."""
    breaker: Literal["closed", "open"]
    """`open` while none of them is up or known."""
    waiting: Count
    """Provider calls that wait for a slot, of all tokens with these providers."""


class Flights(Shape):
    """Work that several callers have in common."""

    under_way: Count
    joined: Count
    """Callers who joined work that was under way."""
    hits: Count
    """Answers that were in the cache."""
    kept: Count
    """Answers in the cache."""
    kept_bytes: Count


class JobEnds(Shape):
    """Jobs that ended, by state."""

    complete: Count
    failed: Count
    cancelled: Count


class JobParts(Shape):
    """Provider calls of the jobs in progress, as far as their number is known."""

    done: Count
    total: Count


class JobProgress(Shape):
    """A job in progress."""

    id: str
    """A hash of the job's id, which changes at every start."""
    lane: Literal["day", "night"]
    action: str
    done: Count
    """Finished provider calls of `total`; both are 0 until the total is known."""
    total: Count


class JobsState(Shape):
    """The jobs, as they were seen less than a second or two ago."""

    redis: Literal["up", "down"]
    reason: str
    """Cause why no new job is taken: Redis is down, full or refuses writes; blank while jobs are taken."""
    warnings: list[str]
    """Settings of Redis that can lose jobs some day: its eviction policy, a missing append-only file."""
    workers: Count
    """Workers alive."""
    held: dict[Literal["day", "night"], Count]
    """Jobs waiting or at work, by lane: `day` are long summaries whose callers wait, `night` all others."""
    held_bytes: Count
    """Bytes of their texts."""
    running: dict[Literal["day", "night"], Count]
    """Those at work, by lane; the others wait."""
    day: dict[Literal["day", "night"], JobEnds]
    """Jobs that ended in the last 24 hours, by lane."""
    ended: dict[Literal["day", "night"], JobEnds]
    """Jobs that ended since these are counted, by lane."""
    parts: dict[Literal["day", "night"], JobParts]
    progress: list[JobProgress]
    """Single jobs at work; where they are many, those with the most calls."""


class Processes(Shape):
    """Serving processes of one service."""

    serving: Count
    """Processes that serve now."""
    configured: Count
    """PROCESSES."""
    restarts: Count
    """Processes that were started in the place of one that ended."""


class Status(Shape):
    """State of the sidecar in numbers, free of anything a request holds."""

    state: Literal["serving", "draining"]
    places: Held
    """Requests held."""
    bytes: Held
    """Bytes of their bodies."""
    slots: Slots
    limit: Limit
    oldest_wait: Seconds
    """Seconds that the oldest waiting call has waited."""
    call_seconds: Seconds
    """Seconds that a provider call holds its slot, smoothed."""
    drain_rate: Seconds
    """Provider calls answered a second, over the last ten seconds."""
    pause: Seconds
    """Seconds left of a pause, in which nothing is sent to the provider."""
    breaker: Literal["closed", "open"]
    """`open` while the provider is plainly down."""
    answers: dict[str, Count]
    """Requests since the start by code; `ok` counts the answered ones."""
    flights: Flights
    providers: dict[str, Provider] | None = None
    """The providers by name, with PROVIDERS_FILE only."""
    tokens: dict[str, Token] | None = None
    """The tokens that allow some providers only, by name; absent without any."""
    processes: Processes | None = None
    """With PROCESSES above 1 only."""
    jobs: JobsState | None = None
    """With REDIS_URL only."""
