"""Promises of a worker, with a real Valkey and a provider held in the hand: tried, put back, cancelled, given up."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio

from sidecar.core.contract import Request
from sidecar.core.errors import (
    EmptyResponse,
    RateLimited,
    SidecarError,
    UpstreamAuth,
    UpstreamError,
    UpstreamUnreachable,
)
from sidecar.core.jobs import Job, Lane
from sidecar.core.ports import Call, Completion
from sidecar.engine.limiter import breaker
from sidecar.jobs.keys import hold_prefix
from sidecar.jobs.store import JobStore
from sidecar.jobs.worker import arq_consumer, handler
from sidecar.jobs.worker import lease as runs
from sidecar.jobs.worker.arq_consumer import Consumer
from sidecar.jobs.worker.handler import JobHandler
from sidecar.jobs.worker.lease import Run, Runs, Stopped
from sidecar.jobs.worker.worker import working
from sidecar.wiring import job_handlers
from tests.support.held_provider import HeldUpstream
from tests.support.http_sidecar import settings_of
from tests.support.scripted_calls import refusal
from tests.support.valkey import Valkey, valkey
from tests.support.workers import PATIENCE, ended, jobs_of, lecture, until

CHAT = Request(action="chat", content="Why is the sky blue, says the canary?", user_id="7")


@pytest_asyncio.fixture
async def store(server: Valkey) -> AsyncIterator[JobStore]:
    async with jobs_of(REDIS_URL=server.url) as jobs:
        yield jobs


@asynccontextmanager
async def at_work(store: JobStore, upstream: HeldUpstream, **named: str) -> AsyncIterator[Mapping[Lane, JobHandler]]:
    """A worker here, which waits for hundredths of a second where a real one waits for minutes."""
    settings = settings_of(**named)
    benches = {
        lane: (JobHandler(b.runs, b.service, timeout=settings.job_timeout, background=True, backoff=(0.01, 0.01)), size)
        for lane, (b, size) in job_handlers(settings, upstream, store).items()
    }
    async with working(store, benches):
        yield {lane: bench for lane, (bench, _) in benches.items()}


async def one(store: JobStore, request: Request = CHAT, lane: Lane = "night") -> str:
    [job] = await store.enqueue([request], lane=lane)
    return job.job_id


async def becomes(store: JobStore, job_id: str, done: Callable[[Job], bool] = lambda job: job.ended) -> Job:
    [job] = await until(store, [job_id], lambda jobs: jobs[0] is not None and done(jobs[0]))
    assert job is not None
    return job


class Scripted(HeldUpstream):
    """Fails with each of `failures` in turn, then answers."""

    def __init__(self, *failures: Exception) -> None:
        super().__init__()
        self.failures = list(failures)

    async def complete(self, call: Call, *, deadline: float) -> Completion:
        self.failure = self.failures.pop(0) if self.failures else None
        return await super().complete(call, deadline=deadline)


async def test_what_fails_for_now_is_tried_again(store: JobStore) -> None:
    """Two failures of the provider, and the third try answers."""
    upstream = Scripted(UpstreamError(status=500), EmptyResponse())
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
    ],
    ids=["key refused", "quota used up", "model unknown", "over a minute's tokens", "text not allowed"],
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


async def test_a_cancelled_job_frees_its_slot_and_its_text(store: JobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The call under way is cancelled too, within a renewal of the lease."""
    monkeypatch.setattr(handler, "RENEW_SECONDS", 0.05)
    upstream = HeldUpstream(held=True)
    async with at_work(store, upstream):
        job_id = await one(store)
        await upstream.reached()
        assert (await becomes(store, job_id, lambda job: job.status == "in_progress")).data == ""
        job = await store.cancel(job_id, user="7")
        assert job is not None
        assert job.status == "cancelled"
        await asyncio.wait_for(upstream.left.wait(), PATIENCE)
        assert not await store.redis.exists(store.names.text(job_id))
    assert (await becomes(store, job_id)).status == "cancelled"


async def test_a_stopped_worker_puts_back_what_it_was_at(store: JobStore) -> None:
    """No try is used up, no lease holds it: the next worker takes it up at once."""
    held, free = HeldUpstream(held=True), HeldUpstream()
    async with at_work(store, held):
        job_id = await one(store)
        await held.reached()
    assert (await becomes(store, job_id, lambda _: True)).status == "queued"
    assert not await store.redis.exists(f"{store.names.prefix}lease:{job_id}")
    async with at_work(store, free):
        assert (await becomes(store, job_id)).status == "complete"


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


class Nightly(HeldUpstream):
    """Holds the summaries and answers chats."""

    async def complete(self, call: Call, *, deadline: float) -> Completion:
        if "Lecture" not in str(call.messages):
            return Completion(text="At once.")
        return await super().complete(call, deadline=deadline)


async def test_the_night_never_stands_before_the_day(store: JobStore) -> None:
    """With every slot of the night taken and hundreds waiting, a teacher's text is at work at once."""
    upstream = Nightly(held=True)
    async with at_work(store, upstream, WORKER_CONCURRENCY="4"):
        await store.enqueue([lecture(number) for number in range(500)])
        await upstream.reached(4)
        assert (await becomes(store, await one(store, lane="day"))).data == "At once."
        assert upstream.running == 4


async def test_progress_is_seen_while_it_is_made(store: JobStore) -> None:
    """A long text's parts are counted as they are done."""
    upstream = HeldUpstream(held=True)
    async with at_work(store, upstream, CONTEXT_TOKENS="1200", MAX_TOKENS="100"):
        job_id = await one(store, lecture(1, 400))
        await upstream.reached(4)
        upstream.gate.set()
        job = await becomes(store, job_id)
    # Parts, and one call or more that made one summary of theirs.
    assert job.parts_done == job.parts_total == len(upstream.calls) > 5


async def test_arq_and_redis_see_no_text_but_under_our_keys(store: JobStore) -> None:
    """What a job is about stands under keys with a lifetime and is gone when it ends; arq has ids and nothing else."""
    upstream = HeldUpstream(held=True)
    async with at_work(store, upstream):
        job_id = await one(store)
        await upstream.reached()
        told = [key async for key in store.redis.scan_iter("*") if b"canary" in await _dump(store, key)]
        assert told == [store.names.text(job_id).encode()]
        assert await store.redis.pttl(told[0]) > 0
        upstream.gate.set()
        await becomes(store, job_id)
    # The worker's last words are in: nothing is left but the record, its submitters and health.
    left = {key.decode().removeprefix(store.names.prefix) async for key in store.redis.scan_iter("*")}
    assert left <= {f"job:{job_id}", f"by:{job_id}", *(f"arq:queue:{lane}:health-check" for lane in ("day", "night"))}
    for key in left:
        assert b"canary" not in await _dump(store, (store.names.prefix + key).encode())
        assert await store.redis.pttl(store.names.prefix + key) > 0


async def _dump(store: JobStore, key: bytes) -> bytes:
    return await store.redis.dump(key) or b""


async def test_a_worker_warns_of_a_redis_that_throws_jobs_away(caplog: pytest.LogCaptureFixture) -> None:
    """It may be the only one of us on its machine."""
    caplog.set_level(logging.WARNING, "sidecar")
    async with (
        valkey("--maxmemory-policy", "allkeys-lru") as server,
        jobs_of(REDIS_URL=server.url) as store,
        at_work(store, HeldUpstream()),
        asyncio.timeout(PATIENCE),
    ):
        while not caplog.records:  # noqa: ASYNC110 - a log tells nobody that it has grown
            await asyncio.sleep(0.01)
    assert [record.msg for record in caplog.records] == ["redis_policy"]


async def test_a_hundred_jobs_of_other_workers_hide_none(store: JobStore) -> None:
    """What is at work stays in the queue; who comes behind it is found all the same."""
    jobs = await store.enqueue([lecture(number) for number in range(101)])
    for name in (await store.redis.zrange(store.names.queue("night"), 0, -1))[:100]:
        await store.redis.set(hold_prefix() + name.decode(), "1")
    async with at_work(store, HeldUpstream()):
        assert (await becomes(store, jobs[100].job_id)).status == "complete"


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


async def test_a_worker_steps_back_where_the_provider_refuses_for_too_many(store: JobStore) -> None:
    """Fewer calls at once, no try used up however often one is refused, and every job ends well."""
    upstream = Scripted(*[refusal() for _ in range(handler.MOST_TRIES + 1)])
    async with at_work(store, upstream, WORKER_CONCURRENCY="4") as benches:
        limit = benches["night"].service.kernel.calls.pool.providers[0].limit
        before = limit.found
        ids = [job.job_id for job in await store.enqueue([lecture(number) for number in range(4)])]
        jobs = await until(store, ids, ended)
        assert limit.refusals.count == handler.MOST_TRIES + 1
        assert limit.found < before
    assert {job.status for job in jobs if job} == {"complete"}


async def test_a_job_that_another_version_enqueued_is_worked_off(store: JobStore) -> None:
    """What is kept of a job has one form, word for word: an upgrade finds its jobs. Another form, another prefix."""
    job_id, name = "0123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcdef.1800000000000"
    redis: Any = store.redis
    await redis.hset(
        f"moodle-sidecar:job:{job_id}",
        mapping={"status": "queued", "gen": "1800000000000", "lane": "night", "action": "summarize"},
    )
    text = '{"action":"summarize","content":"Old.","context":"","user_id":""}'
    await redis.set(f"moodle-sidecar:text:{job_id}", text)
    await redis.set(f"moodle-sidecar:arq:job:{name}", '{"t":null,"f":"work","a":[],"k":{},"et":1700000000000}')
    await redis.zadd("moodle-sidecar:arq:queue:night", {name: 1_700_000_000_000})
    # And it is the form that this version writes.
    [ours] = await store.enqueue([Request(action="summarize", content="Old.")])
    record = await redis.hgetall(f"moodle-sidecar:job:{ours.job_id}")
    assert {key.decode() for key in record} == {"status", "gen", "lane", "action"}
    assert await redis.get(f"moodle-sidecar:text:{ours.job_id}") == text.encode()
    async with at_work(store, HeldUpstream()):
        assert (await becomes(store, job_id)).data == "An answer."
