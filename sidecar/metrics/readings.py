"""Readings: the numbers of engines, jobs and server at one moment, each under its metric and label values."""

import math
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Final, NamedTuple, Protocol

from sidecar import __version__
from sidecar.core.contract import ACTIONS
from sidecar.core.jobs import JobsHealth, Lane
from sidecar.engine.limiter.provider import Provider
from sidecar.engine.service import Service
from sidecar.engine.statistics import Histogram, Outcome, Requests, Statistics
from sidecar.metrics import families
from sidecar.metrics.families import Family

SERVED: Final = (
    *(Requests("ai", action, "ok") for action in ACTIONS),
    *(Requests("openai", action, "ok") for action in ("completion", "generate_text", "summarize", "explain")),
)
WORKED: Final = tuple(Requests("job", action, "ok") for action in ACTIONS)
"""The usual requests of a server and of a worker. Their series, and those of each provider, begin with the process:
Prometheus sees no increase in a series that begins, and the first burst may come between two scrapes."""
CAUSES: Final = ("places", "bytes", "late", "jobs", "pause", "breaker")
"""Causes of early refusals, whose series begin so as well."""
SOURCES: Final = {"flight": "joined", "kept": "cached", "job": "job"}
"""Sources of shared answers, by `RequestEnd.shared`."""
_EMPTY: Final = Histogram()
DEFAULT: Final = "default"
"""Label of the provider without a name."""


class Reading(NamedTuple):
    """Value of one series, or of one histogram."""

    family: Family
    values: tuple[str, ...]
    """Values of the family's labels."""
    value: float | Histogram
    lane: str = ""
    """The worker's lane; blank elsewhere, where the label is left out."""


class JobsNumbers(JobsHealth, Protocol):
    """Port: jobs as the server's monitor saw them last."""

    @property
    def held(self) -> Mapping[Lane, int]: ...
    @property
    def running(self) -> Mapping[Lane, int]: ...
    @property
    def ended(self) -> Mapping[Lane, Mapping[Any, int]]: ...
    @property
    def parts(self) -> Mapping[Lane, "PartsNumbers"]: ...


class PartsNumbers(Protocol):
    """Port: provider calls of jobs in progress."""

    @property
    def done(self) -> int: ...
    @property
    def total(self) -> int: ...


class LaneNumbers(NamedTuple):
    """One lane of a worker."""

    service: Service
    running: Callable[[], int]
    """Counts the jobs that run now."""
    limit: int


def engine_readings(service: Service, lane: str = "") -> Iterator[Reading]:
    """Yield the numbers of one engine."""
    service.kernel.calls.limit.settle()
    statistics = service.log.statistics
    names = [provider.name for provider in service.kernel.calls.pool.providers]
    parts = [_request_readings(statistics, WORKED if lane else SERVED), _call_readings(statistics, names)]
    parts += [_queue_readings(service), _shared_readings(service)]
    parts += [_provider_readings(provider) for provider in service.kernel.calls.pool.providers]
    for family, values, value, _ in chain.from_iterable(parts):
        yield Reading(family, values, value, lane)


def _request_readings(statistics: Statistics, usual: Sequence[Requests]) -> Iterator[Reading]:
    requests, shed, shared = statistics.requests, statistics.shed, statistics.shared
    for key in dict.fromkeys((*usual, *requests)):
        yield Reading(families.REQUESTS, key, requests[key])
    routes = dict.fromkeys((*(key.route for key in usual), *statistics.duration))
    for route in routes:
        yield Reading(families.REQUEST_SECONDS, (route,), statistics.duration.get(route, _EMPTY))
        yield Reading(families.WAIT_SECONDS, (route,), statistics.wait.get(route, _EMPTY))
    for cause in dict.fromkeys((*CAUSES, *shed)):
        yield Reading(families.SHED, (cause,), shed[cause])
    for how, source in SOURCES.items():
        yield Reading(families.SHARED, (source,), shared[how])
    for tokens, count in statistics.tokens.items():
        yield Reading(families.TOKENS, (tokens.action, tokens.provider or DEFAULT, tokens.kind), count)


def _call_readings(statistics: Statistics, names: Sequence[str]) -> Iterator[Reading]:
    calls, retries = statistics.calls, statistics.retries
    for key in dict.fromkeys((*(Outcome(name, "ok", "") for name in names), *calls)):
        yield Reading(families.CALLS, (key.provider or DEFAULT, key.code, key.scope), calls[key])
    # Providers that left PROVIDERS_FILE are among those called.
    for name in dict.fromkeys((*names, *(key.provider for key in calls))):
        label = (name or DEFAULT,)
        yield Reading(families.CALL_SECONDS, label, statistics.latency.get(name, _EMPTY))
        yield Reading(families.FIRST_TOKEN, label, statistics.first_token.get(name, _EMPTY))
        yield Reading(families.RETRIES, label, retries[name])


def _queue_readings(service: Service) -> Iterator[Reading]:
    admission, gate = service.admission, service.kernel.calls.gate
    yield Reading(families.WAITING, (), gate.waiting)
    yield Reading(families.OLDEST_WAIT, (), gate.oldest_wait)
    yield Reading(families.PLACES_HELD, (), admission.held)
    yield Reading(families.PLACES_LIMIT, (), admission.places)
    yield Reading(families.BYTES_HELD, (), admission.held_bytes)
    yield Reading(families.BYTES_LIMIT, (), admission.size)
    yield Reading(families.DRAINING, (), admission.draining)


def _shared_readings(service: Service) -> Iterator[Reading]:
    flights = service.kernel.flights
    yield Reading(families.FLIGHTS, (), len(flights))
    yield Reading(families.JOINED, (), flights.joined)
    yield Reading(families.CACHE_HITS, (), flights.hits)
    yield Reading(families.CACHE_ANSWERS, (), len(flights.cache))
    yield Reading(families.CACHE_BYTES, (), flights.cache.held)


def _provider_readings(provider: Provider) -> Iterator[Reading]:
    limit, values = provider.limit, (provider.name or DEFAULT,)
    yield Reading(families.IN_FLIGHT, values, provider.running)
    yield Reading(families.LIMIT, values, limit.found)
    yield Reading(families.CEILING, values, limit.ceiling)
    yield Reading(families.LIMIT_FACT, values, limit.fact)
    yield Reading(families.SPACING, values, limit.gap if math.isfinite(limit.gap) else 0.0)
    yield Reading(families.PAUSE, values, limit.pause)
    yield Reading(families.BREAKER, values, limit.breaker.opened_by is not None)


def jobs_readings(jobs: JobsNumbers) -> Iterator[Reading]:
    """Yield the numbers of jobs, over all workers."""
    yield Reading(families.REDIS_UP, (), jobs.redis == "up")
    yield Reading(families.WORKERS, (), jobs.workers)
    for lane, held in jobs.held.items():
        running = jobs.running.get(lane, 0)
        yield Reading(families.JOBS_HELD, (lane,), held)
        yield Reading(families.JOBS, (lane, "queued"), max(0, held - running))
        yield Reading(families.JOBS, (lane, "in_progress"), running)
    for lane, ends in jobs.ended.items():
        for state, count in ends.items():
            yield Reading(families.JOBS_ENDED, (lane, state), count)
    for lane, parts in jobs.parts.items():
        yield Reading(families.JOB_PARTS, (lane, "done"), parts.done)
        yield Reading(families.JOB_PARTS, (lane, "open"), max(0, parts.total - parts.done))


def lane_readings(lane: Lane, numbers: LaneNumbers) -> Iterator[Reading]:
    """Yield the numbers of one lane of a worker."""
    yield from engine_readings(numbers.service, lane)
    yield Reading(families.JOBS_RUNNING, (lane,), numbers.running())
    yield Reading(families.JOBS_LIMIT, (lane,), numbers.limit)


def build_reading(client: str) -> Reading:
    """Return the reading of the versions; `client` is the provider's."""
    return Reading(families.BUILD, (__version__, platform.python_version(), client), 1)
