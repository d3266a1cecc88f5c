"""Promises of a worker's tries, with a real Valkey: what is tried again, how often, and what ends a job at once."""

import logging

import pytest

from sidecar.core.errors import (
    EmptyResponse,
    RateLimited,
    SidecarError,
    UpstreamAuth,
    UpstreamError,
    UpstreamUnreachable,
)
from sidecar.engine.limiter import breaker
from sidecar.jobs.store import JobStore
from sidecar.jobs.worker import handler
from sidecar.jobs.worker import lease as runs
from sidecar.jobs.worker.lease import Runs, Stopped
from tests.support.held_provider import HeldUpstream
from tests.support.scripted_calls import refusal
from tests.support.worker_at_work import Scripted, at_work, becomes, one
from tests.support.workers import ended, lecture, until


async def test_what_fails_for_now_is_tried_again(store: JobStore) -> None:
    """Two failures of the provider, and the third try answers."""
    upstream = Scripted(UpstreamError(status=500), UpstreamError(status=502))
    async with at_work(store, upstream):
        job = await becomes(store, await one(store))
    assert (job.status, job.data, len(upstream.calls)) == ("complete", "An answer.", 3)


async def test_three_tries_are_all(store: JobStore) -> None:
    """Then the job has failed, with what the provider said last."""
    upstream = Scripted(*[UpstreamError(f"No. {number}", status=500) for number in range(1, 9)])
    async with at_work(store, upstream):
        job = await becomes(store, await one(store))
    assert (job.status, job.code, job.error) == ("failed", "upstream_error", "No. 3")
    assert len(upstream.calls) == handler.MOST_TRIES


@pytest.mark.parametrize(
    "failure",
    [
        UpstreamAuth(status=401),
        RateLimited(status=429, scope="account"),
        UpstreamError(status=404),
        RateLimited(status=429, scope="request"),
        UpstreamError(status=200, scope="request"),
        EmptyResponse(status=200),
        EmptyResponse(),
    ],
    ids=[
        "key refused",
        "quota used up",
        "model unknown",
        "over a minute's tokens",
        "text not allowed",
        "empty",
        "no words",
    ],
)
async def test_what_will_never_do_is_not_tried_again(store: JobStore, failure: SidecarError) -> None:
    """Asking again would cost time and change nothing."""
    upstream = Scripted(failure)
    async with at_work(store, upstream):
        job = await becomes(store, await one(store))
    assert (job.status, job.code, len(upstream.calls)) == ("failed", failure.code, 1)


async def test_a_failed_job_starts_anew_when_it_is_enqueued_again(store: JobStore) -> None:
    """The next night's cron gets another chance under the same id."""
    upstream = Scripted(UpstreamError(status=404))
    async with at_work(store, upstream):
        job_id = await one(store)
        assert (await becomes(store, job_id)).status == "failed"
        assert await one(store) == job_id
        assert (await becomes(store, job_id, lambda job: job.status == "complete")).data == "An answer."


async def test_a_provider_that_is_down_costs_no_try(store: JobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it is away: jobs wait, and are done when it is back."""
    monkeypatch.setattr(handler, "DOWN_SECONDS", 0.05)
    monkeypatch.setattr(breaker, "LONGEST_COOLDOWN", 0.05)
    upstream = HeldUpstream()
    upstream.failure = UpstreamUnreachable(retryable=True)
    async with at_work(store, upstream) as benches:
        found = benches["night"].service.kernel.calls.pool.providers[0].limit.breaker
        ids = [job.job_id for job in await store.enqueue([lecture(number) for number in range(4)])]
        await until(store, ids, lambda _: found.state == "open")
        # It is tried again now and then, more often than a job may be.
        await upstream.reached(len(upstream.calls) + handler.MOST_TRIES + 1)
        assert not ended(await store.look(ids))
        upstream.failure = None
        jobs = await until(store, ids, ended)
    assert [job.status for job in jobs if job] == ["complete"] * 4


async def test_a_fault_of_ours_ends_one_job_and_no_other(store: JobStore) -> None:
    """It is failed as `internal`, and the worker goes on."""
    upstream = Scripted(RuntimeError("canary"))
    async with at_work(store, upstream):
        job = await becomes(store, await one(store))
        assert (job.status, job.code) == ("failed", "internal")
        assert "canary" not in job.error
        assert (await becomes(store, await one(store, lecture(1)))).status == "complete"


async def test_a_text_that_ends_every_worker_is_given_up(store: JobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Restarts after a crash are counted apart from tries, and are many but not endless."""
    monkeypatch.setattr(runs, "MOST_CRASHES", 3)
    job_id = await one(store)
    gen = await store.redis.zrange(store.names.queue("night"), 0, -1)
    name = gen[0].decode()
    begin = Runs(store, keep_seconds=60)
    for crashes in range(4):
        run = await begin.begin(name)
        assert (run.crashes, run.tries) == (crashes, 0)
        # As the lease's end does it, fifteen seconds after a worker was killed.
        await store.redis.delete(f"{store.names.prefix}lease:{job_id}")
    with pytest.raises(Stopped):
        await begin.begin(name)
    job = await becomes(store, job_id)
    assert (job.status, job.code) == ("failed", "internal")


async def test_a_worker_steps_back_where_the_provider_refuses_for_too_many(
    store: JobStore, caplog: pytest.LogCaptureFixture
) -> None:
    """Fewer calls at once, no try used up however often one is refused, and every job ends well."""
    upstream = Scripted(*[refusal() for _ in range(handler.MOST_TRIES + 1)])
    async with at_work(store, upstream, WORKER_CONCURRENCY="4") as benches:
        caplog.set_level(logging.INFO, logger="sidecar")
        limit = benches["night"].service.kernel.calls.pool.providers[0].limit
        ids = [job.job_id for job in await store.enqueue([lecture(number) for number in range(4)])]
        jobs = await until(store, ids, ended)
        assert limit.refusals.count == handler.MOST_TRIES + 1
        assert "limit_fell" in {record.msg for record in caplog.records}  # it may have risen again since
    assert {job.status for job in jobs if job} == {"complete"}
