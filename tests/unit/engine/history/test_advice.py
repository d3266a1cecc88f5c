"""Promises of the dashboard's advice: each trouble has one sentence that says what is wrong, and one of what to do."""

from typing import Any

import msgspec
import pytest

from sidecar.core import remedies
from sidecar.core.errors import RateLimited, UpstreamAuth, UpstreamError, UpstreamFailure, UpstreamUnreachable
from sidecar.engine.history.advice import NOTABLE, Facts, Jobs, advice
from sidecar.engine.history.snapshot import Advice
from sidecar.engine.history.totals import NONE, Flow
from sidecar.engine.limiter.breaker import TIMED_OUT
from sidecar.engine.statistics import Refusal
from sidecar.engine.status import Status, status_of
from tests.support.engines import service_over
from tests.support.held_provider import HeldUpstream

SHED = {"late", "places", "bytes", "pause", "jobs", "breaker"}


def flow(**causes: int) -> Flow:
    refusals = {Refusal("ai", "", cause, cause in SHED): count for cause, count in causes.items()}
    return Flow(60.0, 0, 0, 0, refusals, NONE, {}, {})


async def status(**changes: Any) -> Status:
    return msgspec.structs.replace(status_of(service_over(HeldUpstream())), **changes)


async def found(
    down: dict[str, UpstreamFailure] | None = None,
    jobs: Jobs | None = None,
    minute: Flow | None = None,
    **changes: Any,
) -> list[Advice]:
    return advice(Facts(await status(**changes), down or {}, minute or flow(), jobs))


async def test_where_nothing_is_wrong_nothing_is_said() -> None:
    """A queue that is answered in time is no trouble, and neither is a caller's single mistake."""
    assert await found(minute=flow(invalid_json=1, timeout=NOTABLE - 1)) == []


@pytest.mark.parametrize(
    ("failure", "what", "do"),
    [
        (UpstreamAuth(status=401), "refuses the key", remedies.KEY),
        (RateLimited(scope="account"), "account is used up", remedies.ACCOUNT),
        (UpstreamUnreachable(), "cannot be reached", remedies.ADDRESS),
        (UpstreamError(TIMED_OUT), "does not answer in time", remedies.SLOW),
        (UpstreamError("secret words", status=503), "answers with errors (503)", "the provider's own status page"),
    ],
)
async def test_a_provider_that_is_down(failure: UpstreamFailure, what: str, do: str) -> None:
    """In words of ours, by the failure that opened the breaker; with others behind it, it is a warning."""
    (one,) = await found({"": failure}, breaker="open")
    assert one.state == "failed"
    assert what in one.what
    assert do in one.do
    assert "secret words" not in one.what
    (one,) = await found({"east": failure})
    assert one.state == "warning"
    assert 'the provider "east"' in one.what
    assert "OPENAI_" not in one.do


@pytest.mark.parametrize(
    ("cause", "what", "do"),
    [
        ("late", "CONCURRENCY allows 4 calls at once", "raise CONCURRENCY"),
        ("places", "the queue is full (QUEUE_SIZE, 10)", "raise QUEUE_SIZE"),
        ("bytes", "QUEUE_BYTES", "raise QUEUE_BYTES"),
        ("pause", "asks for a pause", remedies.ACCOUNT),
        ("jobs", "JOB_QUEUE_SIZE", "another worker"),
        ("limited", "limit of a token or a user", "which token"),
        ("internal", "a fault of the sidecar", "`internal` in the log"),
    ],
)
async def test_a_cause_of_refusals(cause: str, what: str, do: str) -> None:
    """One is enough, and its number is in the sentence."""
    (one,) = await found(minute=flow(**{cause: 1}))
    assert what in one.what
    assert "1 request of the last minute" in one.what
    assert do in one.do


async def test_a_class_larger_than_the_providers_limit() -> None:
    """The limit as found is named, and it is the provider's, not a setting's."""
    slots = msgspec.structs.replace((await status()).slots, found=2)
    (one,) = await found(minute=flow(late=120), slots=slots)
    assert "120 requests of the last minute" in one.what
    assert "the provider takes 2 calls at once" in one.what
    assert "larger quota" in one.do


@pytest.mark.parametrize(
    "cause", ["timeout", "upstream_auth", "rate_limited", "upstream_unreachable", "empty_response", "unauthorized"]
)
async def test_failures_that_come_again_and_again(cause: str) -> None:
    """From the third in a minute on; while the breaker is open, that is said instead."""
    (one,) = await found(minute=flow(**{cause: NOTABLE}))
    assert (one.state, bool(one.do)) == ("warning", True)
    if cause != "unauthorized":
        assert await found(minute=flow(**{cause: NOTABLE}), breaker="open") == []


@pytest.mark.parametrize(
    ("jobs", "what"),
    [
        (Jobs("down", 0, "Jobs are not available: connection refused."), "Redis is away: "),
        (Jobs("up", 1, "Redis is full."), "no new job is taken: Redis is full"),
        (
            Jobs("up", 1, day={"day": {"failed": 1}, "night": {"complete": 20, "failed": 2, "cancelled": 90}}),
            "3 of 23 jobs of the last 24 hours failed",
        ),
        (Jobs("up", 0, held={"day": 2, "night": 40}), "no worker is alive: jobs are taken and wait (42 so far)"),
        (Jobs("up", 1), ""),
    ],
)
async def test_jobs_that_cannot_go_on(jobs: Jobs, what: str) -> None:
    """Redis first: without it nobody knows of workers."""
    said = await found(jobs=jobs)
    assert [one.what.startswith(what) for one in said] == ([True] if what else [])


async def test_a_worker_of_the_servers_own_is_not_started_by_hand() -> None:
    """With REDIS_URL=embedded the server's log says why there is none."""
    (one,) = advice(Facts(await status(), {}, flow(), Jobs("up", 0), embedded=True))
    assert one.do == remedies.OWN_WORKER


async def test_a_drain_is_said_and_failures_come_first() -> None:
    """Whoever reads one line reads the worst."""
    said = await found({"": UpstreamAuth()}, breaker="open", state="draining")
    assert [(one.check, one.state) for one in said] == [("provider", "failed"), ("sidecar", "warning")]
    assert said[1].do == remedies.RESTART
