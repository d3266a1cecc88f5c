"""Every metric: name, kind, labels and meaning. docs/monitoring.md has the same table.

Label values come from code and configuration alone, so that the number of series is bounded.
"""

from typing import Final, Literal

import msgspec

Kind = Literal["counter", "gauge", "histogram"]


class Family(msgspec.Struct, frozen=True):
    """Series of one name."""

    name: str
    """The name in queries; a histogram's series end in `_bucket`, `_sum` and `_count`."""
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()


REQUESTS: Final = Family(
    "sidecar_requests_total",
    "counter",
    "Requests by way in, action and code; code ok is an answer, cancelled a caller that left.",
    ("route", "action", "code"),
)
REQUEST_SECONDS: Final = Family(
    "sidecar_request_seconds",
    "histogram",
    "Seconds from arrival to the end of requests; those refused early, or by their route, are left out.",
    ("route",),
)
WAIT_SECONDS: Final = Family(
    "sidecar_wait_seconds",
    "histogram",
    "Seconds in which requests with a provider call waited for their slots.",
    ("route",),
)
SHED: Final = Family(
    "sidecar_shed_total",
    "counter",
    "Requests refused early by cause: places, bytes, late, jobs, pause or breaker.",
    ("cause",),
)
SHARED: Final = Family(
    "sidecar_shared_answers_total",
    "counter",
    "Answers without a provider call of their own: joined (a call in flight), cached or job.",
    ("source",),
)
TOKENS: Final = Family(
    "sidecar_tokens_total",
    "counter",
    "Tokens by action, provider and kind: prompt or completion.",
    ("action", "provider", "kind"),
)
WAITING: Final = Family("sidecar_queue_calls", "gauge", "Provider calls that wait for a slot.")
OLDEST_WAIT: Final = Family("sidecar_queue_oldest_seconds", "gauge", "Seconds that the oldest of them has waited.")
PLACES_HELD: Final = Family("sidecar_places_held", "gauge", "Requests held.")
PLACES_LIMIT: Final = Family("sidecar_places_limit", "gauge", "Requests held at most: QUEUE_SIZE.")
BYTES_HELD: Final = Family("sidecar_body_bytes_held", "gauge", "Bytes held of request bodies.")
BYTES_LIMIT: Final = Family("sidecar_body_bytes_limit", "gauge", "Bytes held at most: QUEUE_BYTES.")
DRAINING: Final = Family("sidecar_draining", "gauge", "1 while the process ends and takes no new work.")
FLIGHTS: Final = Family("sidecar_flights", "gauge", "Calls in flight that identical requests can join.")
JOINED: Final = Family(
    "sidecar_joined_total", "counter", "Waiters that joined a call in flight, parts of texts included."
)
CACHE_HITS: Final = Family("sidecar_cache_hits_total", "counter", "Answers found in the cache, parts included.")
CACHE_ANSWERS: Final = Family("sidecar_cache_answers", "gauge", "Answers in the cache.")
CACHE_BYTES: Final = Family("sidecar_cache_bytes", "gauge", "Bytes of the answers in the cache.")
IN_FLIGHT: Final = Family("sidecar_provider_in_flight", "gauge", "Provider calls in flight.", ("provider",))
LIMIT: Final = Family(
    "sidecar_provider_limit",
    "gauge",
    "Calls at once that the provider is thought to take; below one, the share of the time that one may run.",
    ("provider",),
)
CEILING: Final = Family("sidecar_provider_ceiling", "gauge", "Calls at once at most: CONCURRENCY.", ("provider",))
LIMIT_FACT: Final = Family(
    "sidecar_provider_limit_fact", "gauge", "1 while callers are refused because of the found limit.", ("provider",)
)
SPACING: Final = Family("sidecar_provider_spacing_seconds", "gauge", "Seconds between two calls.", ("provider",))
PAUSE: Final = Family(
    "sidecar_provider_pause_seconds", "gauge", "Seconds left of a pause in which nothing is sent.", ("provider",)
)
BREAKER: Final = Family(
    "sidecar_provider_breaker_open", "gauge", "1 while the provider is plainly down.", ("provider",)
)
CALLS: Final = Family(
    "sidecar_provider_calls_total",
    "counter",
    "Attempts by outcome. A failure's scope is provider, capacity (a refusal that is tried again), request or account.",
    ("provider", "code", "scope"),
)
RETRIES: Final = Family(
    "sidecar_provider_retries_total", "counter", "Attempts after a call's first one.", ("provider",)
)
CALL_SECONDS: Final = Family(
    "sidecar_provider_call_seconds", "histogram", "Seconds of answered attempts.", ("provider",)
)
FIRST_TOKEN: Final = Family(
    "sidecar_provider_first_token_seconds", "histogram", "Seconds until a stream's first event.", ("provider",)
)
JOBS_HELD: Final = Family("sidecar_jobs_held", "gauge", "Jobs queued or running, over all workers.", ("lane",))
JOBS: Final = Family(
    "sidecar_jobs", "gauge", "Jobs by lane and state, queued or in_progress, over all workers.", ("lane", "state")
)
JOBS_ENDED: Final = Family(
    "sidecar_jobs_ended_total",
    "counter",
    "Jobs that ended, by lane and state, complete, failed or cancelled, over all workers.",
    ("lane", "state"),
)
JOB_PARTS: Final = Family(
    "sidecar_job_parts",
    "gauge",
    "Provider calls of the jobs in progress, done or open, as far as their number is known.",
    ("lane", "state"),
)
JOBS_RUNNING: Final = Family("sidecar_jobs_running", "gauge", "Jobs that run in this worker.", ("lane",))
JOBS_LIMIT: Final = Family("sidecar_jobs_running_limit", "gauge", "Jobs that this worker runs at most.", ("lane",))
WORKERS: Final = Family("sidecar_workers", "gauge", "Workers alive.")
REDIS_UP: Final = Family("sidecar_redis_up", "gauge", "1 while Redis answers.")
CONNECTIONS: Final = Family("sidecar_connections", "gauge", "Open connections of callers.")
BUILD: Final = Family("sidecar_build_info", "gauge", "1, with the versions in force.", ("version", "python", "client"))
CPU: Final = Family("process_cpu_seconds_total", "counter", "Seconds of CPU, user and system.")
RESIDENT: Final = Family("process_resident_memory_bytes", "gauge", "Bytes of resident memory.")
STARTED: Final = Family("process_start_time_seconds", "gauge", "Start of the process, in seconds since 1970.")
OPEN_FILES: Final = Family("process_open_fds", "gauge", "Open file descriptors.")
MOST_FILES: Final = Family("process_max_fds", "gauge", "Open file descriptors at most.")

FAMILIES: Final = (
    *(REQUESTS, REQUEST_SECONDS, WAIT_SECONDS, SHED, SHARED, TOKENS),
    *(WAITING, OLDEST_WAIT, PLACES_HELD, PLACES_LIMIT, BYTES_HELD, BYTES_LIMIT, DRAINING, CONNECTIONS),
    *(IN_FLIGHT, LIMIT, CEILING, LIMIT_FACT, SPACING, PAUSE, BREAKER),
    *(CALLS, RETRIES, CALL_SECONDS, FIRST_TOKEN),
    *(FLIGHTS, JOINED, CACHE_HITS, CACHE_ANSWERS, CACHE_BYTES),
    *(JOBS_HELD, JOBS, JOBS_ENDED, JOB_PARTS, JOBS_RUNNING, JOBS_LIMIT, WORKERS, REDIS_UP),
    *(BUILD, CPU, RESIDENT, STARTED, OPEN_FILES, MOST_FILES),
)
LANE: Final = "lane"
"""Label of all series of a worker, whose lanes have an engine each."""
