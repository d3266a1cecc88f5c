"""Up to 500 jobs while workers are killed or Redis goes away: every result right, no stored call paid twice.

Used short by the tests and long by benchmarks/bench_jobs.py. The laws it checks are in `CrashReport.broken`.
"""

import asyncio
import random
from collections.abc import Sequence
from contextlib import AsyncExitStack

from sidecar.core.jobs import Job
from tests.support.valkey import Valkey, valkey
from tests.support.workers import (
    CountingProvider,
    WorkerProcess,
    counting_provider,
    ended,
    jobs_of,
    lecture,
    until,
    worker,
)


class CrashReport:
    """Result of a run, and its cost in calls."""

    def __init__(self, jobs: Sequence[Job | None], provider: CountingProvider, *, lost: int) -> None:
        self.jobs = len(jobs)
        self.calls = sum(provider.calls.values())
        self.again = sum(count - 1 for count in provider.calls.values())
        """Calls that repeat an earlier call."""
        self.broken = [
            f"job {number}: {job}"
            for number, job in enumerate(jobs)
            if job is None or (job.status, job.data) != ("complete", f"Summary of Lecture{number}x.")
        ]
        """Each law that did not hold, in words."""
        self.broken += [f"stored and paid again: {prompt}" for prompt in provider.again]
        if self.again > lost:
            self.broken.append(f"{self.again} calls paid again where {lost} can have been lost")

    def __str__(self) -> str:
        return f"{self.jobs} jobs, {self.calls} calls, {self.again} of them again; broken: {self.broken or 'nothing'}"


def _environment(server: Valkey, provider: CountingProvider) -> dict[str, str]:
    # Texts over some 200 tokens are split, so that there are parts to store.
    return {
        "OPENAI_API_KEY": "sk-canary",
        "OPENAI_BASE_URL": provider.url,
        "REDIS_URL": server.url,
        "CONTEXT_TOKENS": "1200",
        "MAX_TOKENS": "100",
        "CALL_TIMEOUT": "20",
    }


async def killed_workers(jobs: int, kills: int) -> CrashReport:
    """Run the jobs with two workers, killed `kills` times at random moments and started again."""
    dice = random.Random(kills)
    async with valkey() as server, counting_provider(REDIS_URL=server.url) as provider, AsyncExitStack() as stack:
        provider.latency = 0.06
        env = _environment(server, provider)
        store = await stack.enter_async_context(jobs_of(**env))
        requests = [lecture(number, 200 if number % 5 == 0 else 5) for number in range(jobs)]
        ids = [job.job_id for job in await store.enqueue(requests)]
        workers = [await stack.enter_async_context(worker(**env)) for _ in range(2)]
        for _ in range(kills):
            victim = dice.randrange(2)
            await workers[victim].event("job")
            await asyncio.sleep(dice.uniform(0, 0.5))
            await workers[victim].kill()
            # On a slow machine the other worker could end all jobs before the new one has started.
            provider.open.clear()
            workers[victim] = await stack.enter_async_context(worker(**env))
            await workers[victim].event("working")
            provider.open.set()
        # A kill costs for each slot the call in flight, and one call whose answer is not stored yet.
        return CrashReport(await until(store, ids, ended), provider, lost=kills * 4 * 2)


async def stopped_redis(jobs: int, stops: int) -> CrashReport:
    """Run the jobs while Redis is stopped and started with its file: the worker waits and goes on."""
    async with valkey() as server, counting_provider(REDIS_URL=server.url) as provider, AsyncExitStack() as stack:
        provider.latency = 0.03
        env = _environment(server, provider)
        store = await stack.enter_async_context(jobs_of(**env))
        ids = [job.job_id for job in await store.enqueue([lecture(n, 200 if n % 5 == 0 else 5) for n in range(jobs)])]
        running: WorkerProcess = await stack.enter_async_context(worker(**env))
        for _ in range(stops):
            seen = len(running.log)
            await running.event("job", after=seen)
            await server.stop()
            await running.event("redis_away", after=seen)
            await server.start()
            await running.event("redis_back", after=seen)
        return CrashReport(await until(store, ids, ended), provider, lost=0)
