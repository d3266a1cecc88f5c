"""Jobs posted to a real server while server, worker and Valkey are killed at random moments, and Valkey is filled.

The laws are in `Storm.broken`: a job that was accepted ends with its own answer, and nobody is left without the reason.
"""

import asyncio
import json
import random
from contextlib import AsyncExitStack
from typing import Any, Final

from redis.exceptions import OutOfMemoryError

from sidecar.jobs.store import JobStore
from tests.support.doctor_command import doctor
from tests.support.http_sidecar import post
from tests.support.server_process import Served, served
from tests.support.valkey import Valkey, valkey
from tests.support.workers import (
    PATIENCE,
    CountingProvider,
    WorkerProcess,
    counting_provider,
    ended,
    jobs_of,
    lecture,
    until,
    worker,
)

_AT_ONCE: Final = 5
"""Jobs of one list."""
MEMORY: Final = ("--maxmemory", "24mb")


class Storm:
    """One server, one worker and one Valkey, each started again after its end."""

    def __init__(self, redis: Valkey, provider: CountingProvider, stack: AsyncExitStack) -> None:
        self.redis = redis
        self.accepted: set[str] = set()
        self.refusals: set[str] = set()
        """Sentences of those who were refused."""
        self.broken: list[str] = []
        """Each law that did not hold, in words."""
        self.server: Served
        self.worker: WorkerProcess
        self.env = {
            "OPENAI_API_KEY": "sk-canary",
            "OPENAI_BASE_URL": provider.url,
            "REDIS_URL": redis.url,
            "CALL_TIMEOUT": "20",
        }
        self._stack = stack
        self._ended: list[Served | WorkerProcess] = []

    async def start_server(self) -> None:
        self.server = await self._stack.enter_async_context(served(**self.env))

    async def start_worker(self) -> None:
        self.worker = await self._stack.enter_async_context(worker(**self.env))
        await self.worker.event("working")

    async def kill(self, what: str) -> None:
        """Kill one of the three as the kernel would, and start it again."""
        if what == "valkey":
            await self.redis.kill()
            await asyncio.sleep(0.1)
            await self.redis.start()
            return
        victim = self.server if what == "server" else self.worker
        victim.process.kill()
        await victim.ended()
        self._ended.append(victim)
        await (self.start_server() if what == "server" else self.start_worker())

    async def submit(self, numbers: list[int]) -> None:
        """Post a list until it is accepted, as a cron job does that heeds a refusal."""
        jobs = [{"action": "summarize", "content": lecture(number, 5).content} for number in numbers]
        body = post(json.dumps({"jobs": jobs}).encode(), "Connection: close", path="/jobs")
        while True:
            try:
                answer = await self.server.fetch(body)
            except (OSError, asyncio.IncompleteReadError):
                answer = None
            if answer is not None and answer.status == 202:
                self.accepted |= {job["job_id"] for job in answer.json["jobs"]}
                return
            if answer is not None:
                self.refusals.add(answer.json["error"])
            await asyncio.sleep(0.1)

    async def fill(self) -> None:
        """Fill Valkey to the last byte with what is nobody's."""
        async with self.redis.client() as admin:
            for size in (1_000_000, 10_000, 100):
                for number in range(10_000):
                    try:
                        await admin.set(f"filler:{size}:{number}", "x" * size)
                    except OutOfMemoryError:
                        break

    async def empty(self) -> None:
        async with self.redis.client() as admin:
            keys = [key async for key in admin.scan_iter("filler:*", count=1000)]
            await admin.unlink(*keys)

    async def told(self) -> None:
        """Check that a full Redis is named by server, /status, both logs, the doctor, and a live worker stays alive."""
        await self.server.event("redis_full")
        await self.worker.event("redis_full")
        jobs: Any = {}
        async with asyncio.timeout(PATIENCE):
            while not (jobs.get("workers") and jobs["reason"]):
                jobs = (await self.server.get("/status")).json["jobs"]
                await asyncio.sleep(0.1)
        if jobs["redis"] != "up" or not jobs["reason"].startswith("Redis is full"):
            self.broken.append(f"/status: {jobs}")
        done = await doctor("--json", **self.env)
        if not done.finding("redis memory")["what"].startswith("Redis is full"):
            self.broken.append(f"doctor: {done}")

    def check_logs(self) -> None:
        for process in (self.server, self.worker, *self._ended):
            for words in (b"never retrieved", b"Traceback", b'"internal"'):
                if words in process.raw:
                    self.broken.append(f"{words!r}: {process.raw[-2000:]!r}")

    async def check_jobs(self, store: JobStore, count: int) -> None:
        """Check that as many jobs as were wanted were accepted, and that each has its own answer."""
        wanted = {store.id_of(lecture(number, 5)): f"Summary of Lecture{number}x." for number in range(count)}
        if self.accepted != set(wanted):
            self.broken.append(f"accepted {len(self.accepted)} of {count}")
        for job_id, job in zip(wanted, await until(store, list(wanted), ended, patience=5 * PATIENCE), strict=True):
            if job is None or (job.status, job.data) != ("complete", wanted[job_id]):
                self.broken.append(f"{job_id}: {job}")


async def storm(jobs: int, kills: int, *, filled: bool) -> Storm:
    """Submit `jobs` while each of the three is killed in turn, `kills` times in all; `filled`: in a full Redis too."""
    dice = random.Random(jobs + kills)
    async with valkey(*MEMORY) as redis, AsyncExitStack() as stack:
        provider = await stack.enter_async_context(counting_provider())
        provider.latency = 0.05
        one = Storm(redis, provider, stack)
        store = await stack.enter_async_context(jobs_of(**one.env))
        await asyncio.gather(one.start_server(), one.start_worker())
        lists = [list(range(n, min(n + _AT_ONCE, jobs))) for n in range(0, jobs, _AT_ONCE)]
        half = len(lists) // 2 if filled else len(lists)
        victims = [("server", "worker", "valkey")[number % 3] for number in range(kills)]
        dice.shuffle(victims)
        await _survive(one, lists[:half], victims, dice)
        if filled:
            await one.fill()
            await one.server.event("redis_full")
            late = asyncio.gather(*(one.submit(numbers) for numbers in lists[half:]))
            await one.told()
            for victim in dict.fromkeys(victims):
                await one.kill(victim)
            await one.told()
            if late.done():
                one.broken.append("A full Redis took new jobs.")
            await one.empty()
            await late
        await one.check_jobs(store, jobs)
        one.check_logs()
        return one


async def _survive(one: Storm, lists: list[list[int]], victims: list[str], dice: random.Random) -> None:
    async def submit(numbers: list[int], delay: float) -> None:
        await asyncio.sleep(delay)
        await one.submit(numbers)

    pauses = [dice.uniform(0, len(victims)) for _ in lists]
    running = asyncio.gather(*(submit(numbers, pause) for numbers, pause in zip(lists, pauses, strict=True)))
    for victim in victims:
        await asyncio.sleep(dice.uniform(0, 1))
        await one.kill(victim)
    await running
