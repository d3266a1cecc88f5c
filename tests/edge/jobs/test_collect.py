"""Promises of collecting beyond one window of jobs, and of a Redis that was never there."""

import asyncio
import json
from typing import Any

from sidecar.engine.formats.formatter import Formatter
from sidecar.jobs.collect import WINDOW, Collecting
from sidecar.jobs.health import FULL
from sidecar.jobs.store import JobStore
from sidecar.runtime.line_source import Line
from tests.support.held_provider import ProgressRecorder
from tests.support.valkey import Valkey, valkey
from tests.support.workers import jobs_of, lecture


class Listener(ProgressRecorder):
    """Takes what is written and said."""

    def __init__(self) -> None:
        super().__init__()
        self.replies: list[Any] = []
        self.came = asyncio.Condition()

    async def write(self, data: bytes) -> None:
        self.replies += [json.loads(line) for line in data.splitlines()]
        async with self.came:
            self.came.notify_all()

    async def reached(self, replies: int) -> None:
        async with asyncio.timeout(60), self.came:
            await self.came.wait_for(lambda: len(self.replies) >= replies)


def collecting(store: JobStore, listener: Listener, **more: Any) -> Collecting:
    named: dict[str, Any] = {"patience": None, "stop": asyncio.Event(), "formatter": Formatter()} | more
    return Collecting(store, listener, **named)


def name(number: int) -> str:
    return f"{number:032x}"


def line(number: int) -> Line:
    return Line(number + 1, json.dumps({"job_id": name(number)}).encode())


async def complete(store: JobStore, numbers: range) -> None:
    pipe = store.redis.pipeline()
    for number in numbers:
        pipe.hset(store.names.job(name(number)), mapping={"status": "complete", "data": str(number)})
    await pipe.execute()


async def test_replies_come_in_order_over_many_windows() -> None:
    """One that ends late holds back those behind it and nothing else; twice the same id is two lines."""
    count = 3 * WINDOW + 7
    async with valkey() as server, jobs_of(REDIS_URL=server.url) as store:
        await complete(store, range(count))
        pipe = store.redis.pipeline()
        pipe.hset(store.names.job(name(WINDOW + 5)), mapping={"status": "in_progress"})
        await pipe.execute()
        listener = Listener()
        lines = [line(number) for number in [0, 0, *range(1, count)]]
        running = asyncio.create_task(collecting(store, listener).write(iter(lines), listener.write))
        await listener.reached(WINDOW + 6)
        assert len(listener.replies) == WINDOW + 6
        await complete(store, range(WINDOW + 5, WINDOW + 6))
        async with asyncio.timeout(60):
            await running
    assert [reply["data"] for reply in listener.replies] == [str(number) for number in [0, 0, *range(1, count)]]
    assert listener.steps == count + 1


async def test_a_redis_that_was_never_there_is_given_up() -> None:
    """After a while, with a line for each job that says so: its address may be wrong."""
    async with jobs_of(REDIS_URL="redis://127.0.0.1:1") as store:
        listener = Listener()
        run = collecting(store, listener, never=0.0)
        async with asyncio.timeout(60):
            await run.write(iter([line(number) for number in range(2 * WINDOW)]), listener.write)
    assert [reply["job_id"] for reply in listener.replies] == [name(number) for number in range(2 * WINDOW)]
    assert {reply["code"] for reply in listener.replies} == {"jobs_unavailable"}
    assert len(listener.texts) == 1
    assert run.counts == {"not looked at": 2 * WINDOW}


async def test_that_nobody_works_is_said_once() -> None:
    """Who forgot to start a worker would wait for ever without a word."""
    async with valkey() as server, jobs_of(REDIS_URL=server.url) as store:
        [job] = await store.enqueue([lecture(1)])
        listener, stop = Listener(), asyncio.Event()
        asked = Line(1, json.dumps({"job_id": job.job_id}).encode())
        running = asyncio.create_task(collecting(store, listener, stop=stop).write(iter([asked]), listener.write))
        await asyncio.wait_for(listener.spoke.wait(), 60)
        stop.set()
        await running
    assert listener.texts == ["No worker is alive; the jobs wait until one is started."]


async def test_that_redis_is_full_is_said_once(server: Valkey, store: JobStore) -> None:
    """Jobs that wait do not start then, and whoever waits for them hears why."""
    redis: Any = store.redis
    [job] = await store.enqueue([lecture(1)])
    await redis.zadd(store.names.workers, {"someone": 2**52})
    async with server.client() as admin:
        await admin.config_set("maxmemory", 1)
    listener, stop = Listener(), asyncio.Event()
    asked = Line(1, json.dumps({"job_id": job.job_id}).encode())
    running = asyncio.create_task(collecting(store, listener, stop=stop).write(iter([asked]), listener.write))
    await asyncio.wait_for(listener.spoke.wait(), 60)
    stop.set()
    await running
    assert listener.texts == [FULL]
    assert listener.replies == []
