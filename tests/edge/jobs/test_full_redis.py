"""Promises of a full Redis, a real one: new jobs are refused, what is in progress ends, nobody is taken for dead."""

import asyncio
import gc
import logging
import time
from typing import Any

import pytest
from redis.asyncio import Redis

from sidecar.core.errors import JobsUnavailable, Overloaded, UpstreamError
from sidecar.jobs.monitor import Monitor
from sidecar.jobs.store import JobStore
from sidecar.jobs.worker import arq_consumer, lease
from sidecar.jobs.worker import worker as worker_module
from sidecar.jobs.worker.lease import Run, Runs
from tests.support.held_provider import HeldUpstream
from tests.support.valkey import Valkey
from tests.support.worker_at_work import at_work, becomes
from tests.support.workers import PATIENCE, ended, jobs_of, lecture, until


async def fill(admin: Redis, share: float = 1.0) -> None:
    """Have Redis use `share` of its memory."""
    used = int((await admin.info("memory"))["used_memory"])
    await admin.config_set("maxmemory", int(used / share) - (100_000 if share == 1 else 0))


async def give_room(admin: Redis) -> None:
    await admin.config_set("maxmemory", 0)


async def begun(store: JobStore, number: int) -> Run:
    [job] = await store.enqueue([lecture(number)])
    redis: Any = store.redis
    gen = (await redis.hget(store.names.job(job.job_id), "gen")).decode()
    return await Runs(store, keep_seconds=60).begin(f"{job.job_id}.{gen}")


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    names = [record.msg for record in caplog.records if record.name == "sidecar"]
    caplog.clear()
    return names


async def test_new_jobs_are_refused_while_a_tenth_is_left(server: Valkey, store: JobStore) -> None:
    """At nine tenths of maxmemory a new job gets the reason, and a job that is there is joined all the same."""
    async with server.client() as admin:
        [job] = await store.enqueue([lecture(1)])
        await fill(admin, 0.95)
        store.health._until = 0.0
        with pytest.raises(Overloaded, match="Redis is full") as caught:
            await store.enqueue([lecture(2)])
        assert caught.value.retry_after
        assert (await store.enqueue([lecture(1)]))[0] == job
        await give_room(admin)
        await store.enqueue([lecture(2)])


async def test_a_list_that_would_take_the_last_room_is_refused_whole(server: Valkey, store: JobStore) -> None:
    """The look is of a second ago: what was sent since counts."""
    async with server.client() as admin:
        used = int((await admin.info("memory"))["used_memory"])
        await admin.config_set("maxmemory", used + 6_000_000)
        big = [lecture(number, 15_000) for number in range(8)]
        assert 900_000 < len(big[0].content) < 1_500_000
        with pytest.raises(Overloaded, match="Redis is full"):
            await store.enqueue(big)
        assert await admin.dbsize() == 0
        for one in big[:2]:
            await store.enqueue([one])
        with pytest.raises(Overloaded, match="Redis is full"):
            await store.enqueue(big[2:6])


async def test_one_that_fills_up_behind_the_look_is_full_in_its_own_words(server: Valkey, store: JobStore) -> None:
    """No text is quoted, and the same store goes on once there is room."""
    async with server.client() as admin:
        await store.health.look()
        await fill(admin)
        with pytest.raises(JobsUnavailable, match="Redis is full") as caught:
            await store.enqueue([lecture(1)])
        assert "Lecture" not in str(caught.value)
        await give_room(admin)
        assert (await store.enqueue([lecture(1)]))[0].status == "queued"


async def test_a_list_whose_texts_still_fitted_is_refused_whole(server: Valkey, store: JobStore) -> None:
    """Redis fills up between the texts and the enqueueing: no job of the list is begun."""
    async with server.client() as admin:
        requests = [lecture(1), lecture(2)]
        await store._send([store.id_of(request) for request in requests], requests)
        await fill(admin)
        store.health._until = time.monotonic() + PATIENCE
        with pytest.raises(JobsUnavailable, match="Redis is full"):
            await store.enqueue(requests)
        assert {key.split(":")[1] for key in await admin.keys("*")} == {"text"}
        await give_room(admin)
        assert [job.status for job in await store.enqueue(requests)] == ["queued", "queued"]


async def test_what_is_in_progress_ends_in_a_full_redis(server: Valkey, store: JobStore) -> None:
    """Every step of a run is made whole: begin, renewal, part, answer, failure, put back, cancellation."""
    async with server.client() as admin:
        answered, failed, back, cancelled = [await begun(store, number) for number in range(4)]
        [waiting] = await store.enqueue([lecture(5)])
        redis: Any = admin
        gen = await redis.hget(store.names.job(waiting.job_id), "gen")
        await fill(admin)
        run = await Runs(store, keep_seconds=60).begin(f"{waiting.job_id}.{gen}")
        # A renewal of a lease that ended writes it anew.
        await admin.delete(f"{store.names.prefix}lease:{answered.job_id}")
        await answered.renew()
        await answered.keep(b"part", "Part.", done=1, total=2)
        await answered.complete("Rivers run.")
        # The lease ended, so that the first write is not its deletion.
        await admin.delete(f"{store.names.prefix}lease:{failed.job_id}")
        await failed.fail(UpstreamError("No."))
        await admin.delete(f"{store.names.prefix}lease:{back.job_id}")
        await back.put_back(failed=True)
        await store.cancel(cancelled.job_id)
        await run.complete("Too.")
        jobs = await store.look([one.job_id for one in (answered, failed, back, cancelled, waiting)])
        assert [job and job.status for job in jobs] == ["complete", "failed", "queued", "cancelled", "complete"]
        counts = await store.counts()
        assert counts.size == len(lecture(2).content)


async def test_a_full_redis_is_told_and_workers_stay_alive(
    server: Valkey, store: JobStore, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Heartbeats go on, /status and log name the cause once, and the job that waits runs once there is room."""
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(worker_module, "SIGN_SECONDS", 0.05)
    monkeypatch.setattr(worker_module, "ALIVE_SECONDS", 0.5)
    upstream = HeldUpstream(held=True)
    async with at_work(store, upstream, WORKER_CONCURRENCY="1"), server.client() as admin:
        monitor = Monitor(store)
        first, second = (job.job_id for job in await store.enqueue([lecture(1), lecture(2)]))
        await upstream.reached(1)
        await monitor.look()
        told(caplog)
        await fill(admin)
        async with asyncio.timeout(PATIENCE):
            while "redis_full" not in [record.msg for record in caplog.records]:  # noqa: ASYNC110 - another task logs
                await asyncio.sleep(0.02)
        upstream.gate.set()
        assert (await becomes(store, first)).status == "complete"
        await asyncio.sleep(1.2)  # longer than a heartbeat lasts, and than a look at the queue
        for _ in range(3):
            await monitor.look()
        status = monitor.status()
        assert (status.redis, status.workers, monitor.takes_jobs) == ("up", 1, False)
        assert status.reason.startswith("Redis is full")
        # One line of the worker, one of the server.
        assert [name for name in told(caplog) if name != "job"] == ["redis_full", "redis_full"]
        await give_room(admin)
        assert (await becomes(store, second)).status == "complete"
        await monitor.look()
        assert (monitor.status().reason, monitor.takes_jobs) == ("", True)
    gc.collect()
    names = [record.msg for record in caplog.records]
    assert "redis_has_room" in names
    assert not {"redis_away", "internal"} & set(names)
    assert not [record for record in caplog.records if record.name == "asyncio" and record.levelno > logging.INFO]


async def test_a_run_that_redis_refuses_is_a_line_in_the_log_and_no_lost_task(
    server: Valkey, store: JobStore, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis fills up between arq's steps: the jobs stay in the queue, and end once there is room."""
    caplog.set_level(logging.INFO)
    for module in (arq_consumer, lease):
        monkeypatch.setattr(module, "LEASE_SECONDS", 1.0)
    upstream = HeldUpstream(held=True)
    async with at_work(store, upstream, WORKER_CONCURRENCY="4"), server.client() as admin:
        ids = [job.job_id for job in await store.enqueue([lecture(number) for number in range(4)])]
        await upstream.reached(4)
        # arq's last step for a job that is to be tried again writes, too.
        upstream.failure = UpstreamError(status=500)
        await fill(admin)
        upstream.gate.set()
        async with asyncio.timeout(PATIENCE):
            while {job and job.status for job in await store.look(ids)} != {"queued"}:  # noqa: ASYNC110 - Redis tells nobody
                await asyncio.sleep(0.02)
        await asyncio.sleep(0.7)
        upstream.failure = None
        await give_room(admin)
        assert {job and job.status for job in await until(store, ids, ended)} == {"complete"}
    gc.collect()
    assert "Task exception was never retrieved" not in caplog.text


async def test_a_redis_that_refuses_every_write_kills_no_worker(
    server: Valkey, store: JobStore, caplog: pytest.LogCaptureFixture
) -> None:
    """A heartbeat that cannot be written is no death: the reason is told in its place."""
    caplog.set_level(logging.INFO, "sidecar")
    redis: Any = store.redis
    async with server.client() as admin:
        await redis.zadd(store.names.workers, {"someone": 2**52})
        monitor = Monitor(store)
        await monitor.look()
        await redis.delete(store.names.workers)
        await admin.replicaof("127.0.0.1", "1")
        for _ in range(2):
            await monitor.look()
        status = monitor.status()
        assert (status.redis, status.workers, monitor.takes_jobs) == ("up", 1, False)
        assert "read-only replica" in status.reason
        assert told(caplog) == ["workers_alive", "redis_refuses"]
        await admin.replicaof("NO", "ONE")
        await monitor.look()
        assert told(caplog) == ["redis_has_room", "workers_gone"]


async def test_the_queue_has_a_bound_in_bytes(server: Valkey) -> None:
    """Texts are counted from their enqueueing to their job's end, whatever the end is."""
    size = len(lecture(1).content)
    async with jobs_of(REDIS_URL=server.url, JOB_QUEUE_BYTES=str(3 * size + 100)) as store:
        jobs = await store.enqueue([lecture(number) for number in range(1, 4)])
        assert (await store.counts()).size == 3 * size
        with pytest.raises(Overloaded, match="JOB_QUEUE_BYTES"):
            await store.enqueue([lecture(4)])
        assert await store.enqueue([lecture(1)]) == jobs[:1]
        await store.cancel(jobs[0].job_id)
        await store.enqueue([lecture(4)])
        # A text that expired, or was deleted by hand, takes no room.
        await store.redis.delete(store.names.text(jobs[1].job_id))
        await store.enqueue([lecture(5)])
        assert (await store.counts()).size == 3 * size


async def test_arqs_own_sign_of_life_is_left_out_of_a_full_redis(
    server: Valkey, store: JobStore, caplog: pytest.LogCaptureFixture
) -> None:
    """Redis is there: a look at the queue goes on behind the sign, and nothing says that Redis is away."""

    async def work(_: dict[Any, Any]) -> None: ...

    consumer = arq_consumer.Consumer(store.redis, work, queue=store.names.queue("night"), at_once=1)
    async with server.client() as admin:
        await fill(admin)
        await consumer.record_health()
        await give_room(admin)
    assert told(caplog) == []
