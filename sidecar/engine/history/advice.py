"""Rules of the dashboard's advice: what is wrong now, and what to do, in the doctor's words. Plain functions."""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

import msgspec

from sidecar.core import remedies
from sidecar.core.errors import UpstreamFailure, in_file
from sidecar.engine.history.snapshot import Advice
from sidecar.engine.history.totals import Flow
from sidecar.engine.limiter.breaker import TIMED_OUT
from sidecar.engine.status import Status

NOTABLE: Final = 3
"""Failures of one kind within a minute from which on they are worth a line."""
FAILING: Final = 0.1
"""Share of failed jobs above which they are worth a line."""
_PROBED: Final = "look at the provider's own status page; the sidecar probes it and goes on by itself"
_LONGER: Final = "get a larger quota from the provider, or set a longer OPENAI_SIDECAR_HTTP_TIMEOUT for PHP and sidecar"
_DOWN: Final[Mapping[str, str]] = {
    "upstream_auth": "refuses the key",
    "rate_limited": "refuses calls because the account is used up",
    "upstream_unreachable": "cannot be reached",
    "timeout": "does not answer in time",
}


class Jobs(msgspec.Struct, frozen=True):
    """Numbers of jobs."""

    redis: str
    workers: int
    reason: str = ""
    held: Mapping[str, int] = msgspec.field(default_factory=dict)
    day: Mapping[str, Mapping[str, int]] = msgspec.field(default_factory=dict)
    """Jobs that ended in the last 24 hours, by lane and state."""

    def ended(self, *states: str) -> int:
        """Count the jobs of the last 24 hours that ended so."""
        return sum(ends.get(state, 0) for ends in self.day.values() for state in states)


class Facts(NamedTuple):
    """Basis of the rules."""

    status: Status
    down: Mapping[str, UpstreamFailure]
    """Failures that opened breakers, by provider."""
    minute: Flow
    jobs: Jobs | None = None
    embedded: bool = False
    """True if the server starts its own worker."""


def advice(facts: Facts) -> list[Advice]:
    """Return what is wrong, failures first."""
    found = [*_draining(facts), *_providers(facts), *_queue(facts), *_failures(facts), *_jobs(facts)]
    return sorted(found, key=lambda one: one.state != "failed")


def _draining(facts: Facts) -> Iterator[Advice]:
    if facts.status.state == "draining":
        what = f"the sidecar is draining: it finishes {facts.status.places.now} requests and refuses new ones"
        yield Advice("sidecar", "warning", what, remedies.RESTART)


def _providers(facts: Facts) -> Iterator[Advice]:
    all_down = facts.status.breaker == "open"
    for name, failure in facts.down.items():
        code = "timeout" if str(failure) == TIMED_OUT else failure.code
        about = _DOWN.get(code) or "answers with errors" + (f" ({failure.status})" if failure.status else "")
        what = f'the provider "{name}" {about}' if name else f"the provider {about}"
        what += "; requests are refused at once" if all_down else "; other providers take its calls"
        do = remedies.BY_CODE.get(code, _PROBED)
        yield Advice("provider", "failed" if all_down else "warning", what, in_file(do, name) if name else do)


def _queue(facts: Facts) -> Iterator[Advice]:
    causes, status = facts.minute.by_cause(), facts.status
    if late := causes["late"]:
        slots, what = status.slots, f"{_requests(late)} could not be answered within the time limit"
        if slots.found < slots.ceiling:
            yield Advice("queue", "warning", f"{what}: the provider takes {slots.found} calls at once", _LONGER)
        else:
            what += f": CONCURRENCY allows {slots.ceiling} calls at once"
            yield Advice("queue", "warning", what, f"raise CONCURRENCY if the provider takes more; else {_LONGER}")
    if full := causes["places"]:
        what = f"the queue is full (QUEUE_SIZE, {status.places.most}): {_requests(full)} were refused"
        yield Advice("queue", "failed", what, f"raise QUEUE_SIZE if memory allows, and {_LONGER}")
    if full := causes["bytes"]:
        what = f"the queue's memory is full (QUEUE_BYTES): {_requests(full)} were refused"
        yield Advice("queue", "failed", what, "raise QUEUE_BYTES if the machine has the memory, or send shorter texts")
    if full := causes["jobs"]:
        what = f"the queue of jobs is full (JOB_QUEUE_SIZE): {_requests(full)} were refused"
        yield Advice("jobs", "warning", what, "start another worker, or raise JOB_QUEUE_SIZE")
    if paused := causes["pause"]:
        what = f"the provider asks for a pause: {_requests(paused)} were refused"
        yield Advice("provider", "warning", what, remedies.ACCOUNT)
    if limited := causes["limited"]:
        what = f"{_requests(limited)} went over the limit of a token or a user"
        yield Advice("limits", "warning", what, "see below which token; raise its limit, or look for a runaway script")


def _failures(facts: Facts) -> Iterator[Advice]:
    failed = [(key.cause, count) for key, count in facts.minute.refusals.items() if not key.early]
    causes = {cause: sum(count for other, count in failed if other == cause) for cause, _ in failed}
    if facts.status.breaker == "closed":
        for cause, what in _FAILED.items():
            if (count := causes.get(cause, 0)) >= NOTABLE:
                yield Advice("provider", "warning", f"{_requests(count)} {what}", remedies.BY_CODE[cause])
    if (count := causes.get("unauthorized", 0)) >= NOTABLE:
        what = f"{_requests(count)} had no token of the sidecar, or a wrong one"
        yield Advice("token", "warning", what, "give the caller SIDECAR_TOKEN (docs/moodle.md)")
    if count := causes.get("internal", 0):
        what = f"{_requests(count)} met a fault of the sidecar"
        yield Advice("sidecar", "failed", what, "look for `internal` in the log, and report what it says")


_FAILED: Final[Mapping[str, str]] = {
    "timeout": "had no answer in time",
    "upstream_auth": "failed because the provider refused the key",
    "rate_limited": "failed because the provider refused them for want of capacity or quota",
    "upstream_unreachable": "failed because the provider could not be reached",
    "empty_response": "got an answer without text",
}


def _jobs(facts: Facts) -> Iterator[Advice]:
    jobs = facts.jobs
    if jobs is None:
        return
    if jobs.redis != "up":
        yield Advice("redis", "failed", f"Redis is away: {jobs.reason.rstrip('.')}", remedies.REDIS)
    elif jobs.reason:
        yield Advice("redis", "failed", f"no new job is taken: {jobs.reason.rstrip('.')}", remedies.REDIS)
    elif not jobs.workers:
        what = f"no worker is alive: jobs are taken and wait ({sum(jobs.held.values())} so far)"
        yield Advice("workers", "warning", what, remedies.OWN_WORKER if facts.embedded else remedies.WORKER)
    failed, ended = jobs.ended("failed"), jobs.ended("complete", "failed")
    if failed >= NOTABLE and failed > ended * FAILING:
        what = f"{failed} of {ended} jobs of the last 24 hours failed"
        yield Advice("jobs", "warning", what, "look for `job` in the workers' log: its code says why (docs/faults.md)")


def _requests(count: int) -> str:
    """Return a number of requests in words."""
    return f"{count} request{'' if count == 1 else 's'} of the last minute"
