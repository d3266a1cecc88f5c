"""Promises of single scripts that the state machine found broken."""

from typing import Any

from sidecar.jobs.worker.lease import MOST_CRASHES, Run, Stopped
from tests.support.fake_job_redis import fake_redis
from tests.support.job_records import LEASE
from tests.support.job_redis import JobRedis
from tests.support.workers import lecture


async def begun(redis: JobRedis) -> Run:
    """A run of the one job, begun by a worker."""
    [job] = await redis.store.enqueue([lecture(1, 3)])
    gen: bytes = await redis.redis.hget(redis.store.names.job(job.job_id), "gen")
    return await redis.runs.begin(f"{job.job_id}.{gen.decode()}")


def test_progress_stays_where_a_new_run_finds_its_parts_again() -> None:
    """Who watches a job sees 3 of 4, and after a crash still 3 of 4, until the fourth is done."""

    async def steps(redis: JobRedis) -> list[int]:
        seen = []
        run = await begun(redis)
        for done in (1, 2, 3):
            await run.keep(b"part", "Part.", done=done, total=4)
        await redis.age(LEASE)
        run = await begun(redis)
        for done in (1, 2, 3, 4):
            await run.keep(b"part", "Part.", done=done, total=4)
            [job] = await redis.store.look([run.job_id])
            assert job is not None
            seen.append(job.parts_done)
        return seen

    with fake_redis(keep=7200) as redis:
        assert redis.run(steps(redis)) == [3, 3, 3, 4]


def test_submitters_last_as_long_as_a_job_that_was_given_up() -> None:
    """After its last restart a job's submitters are there as long as its record, as after every other end."""

    async def crash(redis: JobRedis) -> tuple[int, int]:
        client: Any = redis.redis
        job_id = ""
        try:
            for _ in range(MOST_CRASHES + 2):
                job_id = (await begun(redis)).job_id
                await redis.age(LEASE)
        except Stopped:
            pass
        [job] = await redis.store.look([job_id])
        assert job is not None
        assert job.status == "failed"
        return await client.pttl(f"{redis.prefix}job:{job_id}"), await client.pttl(f"{redis.prefix}by:{job_id}")

    for hours in (2, 72):
        with fake_redis(keep=hours * 3600) as redis:
            record, submitters = redis.run(crash(redis))
            assert abs(record - submitters) < 1000
