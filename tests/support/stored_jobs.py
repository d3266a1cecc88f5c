"""Looks at the jobs in Redis, and a run of one as a worker begins it. No promises here."""

from typing import Any

from sidecar.core.jobs import Job
from sidecar.jobs.store import JobStore
from sidecar.jobs.worker.lease import Run, Runs


async def one(store: JobStore, job_id: str) -> Job:
    [job] = await store.look([job_id])
    assert job is not None
    return job


async def queued(store: JobStore) -> list[str]:
    """Return the ids in both queues, the day's first, each lane in its order."""
    names = [name for queue in store.names.queues for name in await store.redis.zrange(queue, 0, -1)]
    return [name.decode().partition(".")[0] for name in names]


async def run_of(store: JobStore, job_id: str) -> Run:
    """Begin a run of the job, as a worker does."""
    redis: Any = store.redis
    gen = await redis.hget(store.names.job(job_id), "gen")
    return await Runs(store, keep_seconds=60).begin(f"{job_id}.{gen.decode()}")
