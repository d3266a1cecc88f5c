"""Promises of a worker through outages, with a real Valkey: whatever fails around a run, no job is lost."""

import asyncio

import pytest

from sidecar.jobs.store import JobStore
from sidecar.jobs.worker import arq_consumer, handler
from sidecar.jobs.worker import lease as runs
from sidecar.jobs.worker.arq_consumer import Consumer
from sidecar.jobs.worker.lease import Run, Runs
from tests.support.held_provider import HeldUpstream
from tests.support.valkey import Valkey
from tests.support.worker_at_work import at_work, becomes, one
from tests.support.workers import PATIENCE, ended, jobs_of, lecture, until


async def test_an_outage_longer_than_the_lease_loses_nothing(
    server: Valkey, store: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two workers and a Redis that comes back when no lease holds any more: either of them ends the job."""
    for module in (runs, handler, arq_consumer):
        monkeypatch.setattr(module, "LEASE_SECONDS", 0.5)
    monkeypatch.setattr(handler, "RENEW_SECONDS", 0.1)
    upstream = HeldUpstream(held=True)
    async with jobs_of(REDIS_URL=server.url) as other, at_work(store, upstream), at_work(other, upstream):
        ids = [job.job_id for job in await store.enqueue([lecture(number) for number in range(6)])]
        await upstream.reached(6)
        for _ in range(2):
            await server.stop()
            await asyncio.sleep(0.7)
            await server.start()
            # Who lost a job to the other hears of it.
            await asyncio.sleep(0.7)
        upstream.gate.set()
        jobs = await until(store, ids, ended)
        assert {job.status for job in jobs if job} == {"complete"}
        # What waits for another look finds that it is over.
        async with asyncio.timeout(PATIENCE):
            while await store.redis.zcard(store.names.queue("night")):  # noqa: ASYNC110 - Redis tells nobody
                await asyncio.sleep(0.05)


@pytest.mark.parametrize("failure", [RuntimeError("closed"), ValueError("?")])
async def test_a_look_that_fails_is_not_the_last(
    store: JobStore, failure: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that gives signs of life takes jobs."""
    failures, look = [failure], Consumer._poll_iteration

    async def failing(self: Consumer) -> None:
        if failures:
            raise failures.pop()
        await look(self)

    monkeypatch.setattr(Consumer, "_poll_iteration", failing)
    async with at_work(store, HeldUpstream()):
        assert (await becomes(store, await one(store))).status == "complete"
    assert not failures


async def test_whatever_fails_around_a_run_loses_no_job(store: JobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """arq drops a job that ends in any exception; so none gets there."""
    monkeypatch.setattr(handler, "LEASE_SECONDS", 0.1)
    failures, begin = [ValueError("?")], Runs.begin

    async def failing(self: Runs, name: str, owner: str = "") -> Run:
        if failures:
            raise failures.pop()
        return await begin(self, name, owner)

    monkeypatch.setattr(Runs, "begin", failing)
    async with at_work(store, HeldUpstream()):
        assert (await becomes(store, await one(store))).status == "complete"
    assert not failures
