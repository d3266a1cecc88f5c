"""Promises of the jobs in Redis, with a real Valkey: joined or begun, all or nothing, cancelled by the last one."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from sidecar.core.contract import Action, Request
from sidecar.core.errors import JobsUnavailable, Overloaded, UpstreamError
from sidecar.core.jobs import Job
from sidecar.jobs.store import JobStore
from tests.support.stored_jobs import one, queued, run_of
from tests.support.valkey import Valkey
from tests.support.workers import jobs_of, lecture


@pytest_asyncio.fixture
async def store(server: Valkey) -> AsyncIterator[JobStore]:
    """Jobs whose queue has room for twenty."""
    async with jobs_of(REDIS_URL=server.url, JOB_QUEUE_SIZE="20") as jobs:
        yield jobs


async def test_jobs_come_in_the_order_of_their_requests(store: JobStore) -> None:
    """The reply's order is the request's, and so is the queue's."""
    requests = [lecture(number) for number in range(10)]
    jobs = await store.enqueue(requests)
    assert [job.job_id for job in jobs] == [store.id_of(request) for request in requests]
    assert {job.status for job in jobs} == {"queued"}
    assert await queued(store) == [job.job_id for job in jobs]


async def test_the_same_request_is_the_same_job(store: JobStore) -> None:
    """A cron that runs twice pays once; inside one list too."""
    first = await store.enqueue([lecture(1), lecture(2), lecture(1)])
    assert await store.enqueue([lecture(2), lecture(1)]) == [first[1], first[0]]
    assert len(await queued(store)) == 2


async def test_two_processes_at_once_make_one_job_each(server: Valkey, store: JobStore) -> None:
    """The first one enqueues, the other joins, whatever the interleaving."""
    requests = [lecture(number) for number in range(20)]
    async with jobs_of(REDIS_URL=server.url) as other:
        mine, theirs = await asyncio.gather(store.enqueue(requests), other.enqueue(requests[::-1]))
    assert mine == theirs[::-1]
    assert len(await queued(store)) == 20


async def test_the_user_is_part_of_a_chat_and_of_nothing_else(store: JobStore) -> None:
    """Two pupils' chats are two; a text's summary is everybody's; a chat of nobody is always a new one."""

    def ids(action: Action, *users: str) -> set[str]:
        return {store.id_of(Request(action=action, content="Why?", user_id=user)) for user in users}

    assert len(ids("chat", "7", "8", "7")) == 2
    assert len(ids("summarize", "7", "8", "")) == len(ids("analyze", "7", "8", "")) == 1
    assert not ids("chat", "") & ids("chat", "")


async def test_a_full_queue_refuses_the_whole_list(store: JobStore) -> None:
    """All or nothing; what would only join needs no room."""
    await store.enqueue([lecture(number) for number in range(15)])
    with pytest.raises(Overloaded) as refused:
        await store.enqueue([lecture(number) for number in range(14, 24)])
    assert refused.value.retry_after
    assert len(await queued(store)) == 15
    assert len(await store.enqueue([lecture(number) for number in range(15)])) == 15


async def test_a_finished_job_is_joined_until_it_is_forgotten(store: JobStore) -> None:
    """Who comes later gets the result, and no text stays behind."""
    [job] = await store.enqueue([lecture(1)])
    run = await run_of(store, job.job_id)
    await run.complete("Rivers.")
    [again] = await store.enqueue([lecture(1)])
    assert (again.job_id, again.status) == (job.job_id, "complete")
    assert (await one(store, job.job_id)).data == "Rivers."
    assert not await store.redis.exists(store.names.text(job.job_id))


async def test_who_joins_a_finished_job_has_its_result_as_long_as_anybody(store: JobStore) -> None:
    """What the evening's cron hears is complete is there in the morning, however old it was."""
    [job] = await store.enqueue([lecture(1)])
    await (await run_of(store, job.job_id)).complete("Rivers.")
    redis: Any = store.redis
    name, by = store.names.job(job.job_id), f"{store.names.prefix}by:{job.job_id}"
    for left, least in ((1_000, 3 * 24 * 3600 * 1000 - 60_000), (10**9, 10**9 - 60_000)):
        await redis.pexpire(name, left)
        await redis.pexpire(by, left)
        await store.enqueue([lecture(1)])
        assert min(await redis.pttl(name), await redis.pttl(by)) >= least


@pytest.mark.parametrize("end", ["failed", "cancelled"])
async def test_what_failed_or_was_cancelled_starts_anew(store: JobStore, end: str) -> None:
    """The second try is a new one, with its text, and nothing of the first."""
    [job] = await store.enqueue([lecture(1)])
    if end == "failed":
        run = await run_of(store, job.job_id)
        await run.fail(UpstreamError())
    else:
        await store.cancel(job.job_id)
    assert (await one(store, job.job_id)).status == end
    [again] = await store.enqueue([lecture(1)])
    assert again.status == "queued"
    assert (await one(store, job.job_id)).error == ""
    assert (await run_of(store, job.job_id)).request == lecture(1)


async def test_the_last_submitter_cancels(store: JobStore) -> None:
    """One who leaves does not take the others' job along; who asked twice is one."""
    seven, eight = (Request(action="summarize", content="Same.", user_id=name) for name in ("7", "8"))
    [job] = await store.enqueue([seven])
    await store.enqueue([eight, seven])
    left = await store.cancel(job.job_id, user="7")
    assert left is not None
    assert left.status == "queued"
    left = await store.cancel(job.job_id, user="stranger")
    assert left is not None
    assert left.status == "queued"
    gone = await store.cancel(job.job_id)
    assert gone is not None
    assert gone.status == "cancelled"
    assert await queued(store) == []
    assert not await store.redis.exists(store.names.text(job.job_id))


@pytest.mark.parametrize("user", ["", "7"], ids=["anonymous", "named"])
async def test_the_same_cancellation_again_takes_nobody_elses_job(store: JobStore, user: str) -> None:
    """A caller whose DELETE is repeated, by a retry say, leaves the others' submissions alone."""
    mine, other = (Request(action="summarize", content="Same.", user_id=name) for name in (user, "8"))
    [job] = await store.enqueue([mine])
    await store.enqueue([other])
    for _ in range(3):
        assert (await store.cancel(job.job_id, user=user)) == job
    # A submission anew may be taken back anew.
    await store.enqueue([mine])
    assert (await store.cancel(job.job_id, user=user)) == job
    gone = await store.cancel(job.job_id, user="8")
    assert gone is not None
    assert gone.status == "cancelled"


async def test_an_id_alone_takes_none_of_several_named_submitters_away(store: JobStore) -> None:
    """Which of them is meant cannot be known; of a single one it can."""
    [job] = await store.enqueue([Request(action="summarize", content="Same.", user_id="7")])
    await store.enqueue([Request(action="summarize", content="Same.", user_id="8")])
    for _ in range(3):
        assert await store.cancel(job.job_id) == job
    await store.cancel(job.job_id, user="7")
    gone = await store.cancel(job.job_id)
    assert gone is not None
    assert gone.status == "cancelled"


@pytest.mark.parametrize(("field", "value"), [("status", "paused"), ("done", "many"), ("data", b"\xff")])
async def test_a_record_of_another_version_spoils_no_other(
    store: JobStore, field: str, value: str | bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """What a newer version left behind is failed with what to do, said once; the others are read."""
    caplog.set_level(logging.WARNING, "sidecar")
    redis: Any = store.redis
    jobs = await store.enqueue([lecture(number) for number in range(3)])
    await redis.hset(store.names.job(jobs[1].job_id), field, value)
    for _ in range(2):
        before, odd, after = await store.look([job.job_id for job in jobs])
        assert (before, after) == (jobs[0], jobs[2])
        assert odd is not None
        assert (odd.status, odd.code) == ("failed", "internal")
        assert "Send the request again" in odd.error
    assert [record.msg for record in caplog.records] == ["job_unreadable"]
    if field == "status":
        assert (await store.enqueue([lecture(1)]))[0].status == "queued"
        assert (await one(store, jobs[1].job_id)).status == "queued"


async def test_cancelling_takes_the_result_along(store: JobStore) -> None:
    """Deleting is what the caller asked for, also when the job has ended."""
    [job] = await store.enqueue([lecture(1)])
    await (await run_of(store, job.job_id)).complete("Rivers.")
    assert await store.cancel(job.job_id) == Job(job_id=job.job_id, status="cancelled")


async def test_what_is_not_there_is_none(store: JobStore) -> None:
    """Unknown and expired look the same."""
    assert await store.look(["0" * 32, "x"]) == [None, None]
    assert await store.cancel("0" * 32) is None


async def test_a_waiting_caller_takes_the_nights_job_along(store: JobStore) -> None:
    """A teacher who asks for what the night has queued does not wait behind the night."""
    jobs = await store.enqueue([lecture(number) for number in range(3)])
    await store.enqueue([lecture(2)], lane="day")
    assert await queued(store) == [jobs[2].job_id, jobs[0].job_id, jobs[1].job_id]


async def test_everything_has_a_lifetime_and_the_prefix(server: Valkey, store: JobStore) -> None:
    """Nothing stays in Redis for ever but the queues, and nothing is anybody else's."""
    [job, *_] = await store.enqueue([lecture(number) for number in range(3)])
    run = await run_of(store, job.job_id)
    await run.keep(b"one", "Part.", done=1, total=3)
    async with server.client() as client:
        for key in await client.keys("*"):
            assert key.startswith("moodle-sidecar:")
            if ":queue:" not in key:
                assert 0 < await client.pttl(key) <= 26 * 3600 * 1000, key


async def test_arq_gets_no_text(server: Valkey, store: JobStore) -> None:
    """Its arguments are in its logs; they hold nothing."""
    await store.enqueue([lecture(77)])
    async with server.client() as client:
        for key in await client.keys("*arq:job:*"):
            assert "Lecture77x" not in str(await client.get(key))


@pytest.mark.parametrize("how", ["gone", "silent"])
async def test_a_redis_that_is_away_is_said_so_in_time(server: Valkey, store: JobStore, how: str) -> None:
    """Every verb ends within its limit and says what is wrong; afterwards all is well without a restart."""
    [job] = await store.enqueue([lecture(1)])
    if how == "gone":
        await server.kill()
    else:
        server.pause()
    for verb in (
        store.enqueue([lecture(2)], limit=0.1),
        store.look([job.job_id], limit=0.1),
        store.cancel(job.job_id, limit=0.1),
        store.workers(limit=0.1),
    ):
        async with asyncio.timeout(2):
            with pytest.raises(JobsUnavailable, match="Redis"):
                await verb
    if how == "gone":
        await server.start()
    else:
        server.resume()
    assert (await one(store, job.job_id)).job_id == job.job_id
    assert len(await store.enqueue([lecture(2)])) == 1


async def test_a_list_that_is_refused_leaves_nothing(store: JobStore) -> None:
    """Refused texts must not fill the Redis whose queue is full already."""
    with pytest.raises(Overloaded):
        await store.enqueue([lecture(number) for number in range(21)])
    assert not [key async for key in store.redis.scan_iter("*")]
