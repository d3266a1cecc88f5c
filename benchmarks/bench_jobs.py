"""Jobs: the cost of kill -9 and of a stopped Redis, requests enqueued twice, a job's own cost, jobs under a burst.

Usage: bench_jobs.py [crash twice rate background enqueue]
"""

import asyncio
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rig import ROOT, Command, burst, call, chats, demo_upstream, environment, line, post, sidecar, spread, tally

sys.path.insert(0, str(ROOT))

from arq.connections import ArqRedis

from sidecar.core.contract import Request
from sidecar.jobs.redis import connect
from sidecar.jobs.store import JobStore
from tests.support.http_sidecar import settings_of
from tests.support.job_crashes import killed_workers, stopped_redis
from tests.support.valkey import Valkey, valkey
from tests.support.workers import jobs_of

EMPTY = Path(__file__).with_name("empty_worker.py")


def texts(count: int, size: int = 2000) -> list[Request]:
    """Return distinct texts to summarize of about `size` characters."""
    body = "The tide comes in twice a day and the moon is why. " * (size // 50)
    return [Request(action="summarize", content=f"{number}: {body}") for number in range(count)]


@contextlib.contextmanager
def worker(upstream: str, server: Valkey, *words: str) -> Iterator[Command]:
    flags = ("--api-key", "sk-bench", "--base-url", f"{upstream}/v1", "--log-format", "json")
    command = Command("worker", *flags, *words, ready='"working"', REDIS_URL=server.url)
    try:
        yield command
    finally:
        command.stop()


@contextlib.contextmanager
def empty_worker(kind: str, server: Valkey) -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, str(EMPTY), kind], stderr=subprocess.PIPE, env=environment(REDIS_URL=server.url), text=True
    )
    assert process.stderr is not None
    while "working" not in process.stderr.readline():
        pass
    try:
        yield
    finally:
        process.kill()
        process.wait(10)


async def crash() -> None:
    """Check that no job is lost and no stored part is paid twice."""
    print("\n500 jobs, every fifth of many parts; a real Valkey, two workers")
    began = time.perf_counter()
    report = await killed_workers(500, kills=12)
    line(f"12 x kill -9 of a worker, {time.perf_counter() - began:.0f} s", str(report), not report.broken)
    began = time.perf_counter()
    report = await stopped_redis(500, stops=4)
    line(f"4 x Redis stopped and started, {time.perf_counter() - began:.0f} s", str(report), not report.broken)


async def twice() -> None:
    """Check that the same requests from two processes at once, and once more, make one job each."""
    print("\nthe same 500 requests from two processes at once, and once more")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "night.jsonl")
        path.write_text("".join(json.dumps({"action": r.action, "content": r.content}) + "\n" for r in texts(500)))
        async with valkey() as server, jobs_of(REDIS_URL=server.url) as store:
            words = [sys.executable, "-m", "sidecar", "enqueue", str(path)]
            env = environment(REDIS_URL=server.url, OPENAI_API_KEY="sk-bench")
            for round_ in (2, 1):
                running = [subprocess.Popen(words, env=env, stdout=subprocess.DEVNULL) for _ in range(round_)]
                assert [process.wait(60) for process in running] == [0] * round_
                count = await store.redis.zcard(store.names.queue("night"))
                line(f"jobs after {round_} at once", str(count), count == 500)


async def done(store: JobStore, count: int) -> float:
    """Enqueue `count` jobs; return the seconds until the queue is empty."""
    await store.enqueue(texts(count))
    began = time.perf_counter()
    while await store.redis.zcard(store.names.queue("night")):
        await asyncio.sleep(0.02)
    return time.perf_counter() - began


async def rate(count: int = 1000) -> None:
    """Check that with a provider that answers at once jobs run at 0.3 or more of the rate of empty jobs."""
    print(f"\n{count} short jobs, a provider that answers at once, WORKER_CONCURRENCY=4, beside empty jobs")
    rates: dict[str, float] = {}
    for kind in ("arq", "house"):
        async with valkey() as server, jobs_of(REDIS_URL=server.url) as store:
            with empty_worker(kind, server):
                rates[kind] = count / await done(store, count)
    with demo_upstream("--latency", "0") as upstream:
        async with valkey() as server, jobs_of(REDIS_URL=server.url) as store:
            with worker(upstream, server) as command:
                before = command.cpu()
                rates["jobs"] = count / await done(store, count)
                line("CPU a job, provider call included", f"{(command.cpu() - before) / count * 1e6:.0f} us")
                line("peak memory", f"{command.memory('VmHWM'):.0f} MiB")
    line("empty jobs a second, the same worker", f"{rates['house']:.0f}")
    line("empty jobs a second, arq's own with 500 at once", f"{rates['arq']:.0f}")
    ratio = rates["jobs"] / rates["house"]
    line("jobs a second", f"{rates['jobs']:.0f} = {ratio:.2f} x empty ones", ratio >= 0.3)


async def background(count: int = 600) -> None:
    """Check that a burst on /ai has at most 1.3 times its latency while a worker runs a full queue."""
    print(f"\n{count} chats in 1 s on /ai, 64 slots of 0.3 s; the same beside 5,000 waiting jobs and a worker")
    waits: dict[str, float] = {}
    for name in ("alone", "with jobs", "alone", "with jobs"):
        words = ("--latency", "0.3", "--slots", "64")
        async with valkey() as server, jobs_of(REDIS_URL=server.url) as store:
            with contextlib.ExitStack() as stack:
                upstream = stack.enter_context(demo_upstream(*words))
                url, _ = stack.enter_context(sidecar(upstream, REDIS_URL=server.url))
                if name == "with jobs":
                    await store.enqueue(texts(5000))
                    stack.enter_context(worker(upstream, server))
                await call(url, chats(1)[0], start=time.perf_counter())
                answers = await burst(url, chats(count)[1:])
        mean = sum(answer.seconds for answer in answers) / len(answers)
        waits[name] = min(mean, waits.get(name, mean))
        line(name, f"mean {mean:.2f} s, {spread([a.seconds for a in answers])}; {tally(answers)}")
    ratio = waits["with jobs"] / waits["alone"]
    line("with jobs", f"{ratio:.2f} x alone", ratio <= 1.3)


async def enqueue(count: int = 1000) -> None:
    """Compare a cron's POST /jobs with as many bare enqueues of arq."""
    print(f"\nPOST /jobs with {count} texts of 2,000 characters, beside {count} bare arq enqueues of the same")
    posted, bare = [], []
    jobs = [{"action": text.action, "content": text.content} for text in texts(count)]
    for _ in range(3):
        async with valkey() as server:
            redis: ArqRedis = connect(settings_of(REDIS_URL=server.url))
            began = time.perf_counter()
            for job in jobs:
                await redis.enqueue_job("work", job, _job_id=job["content"][:8])
            bare.append(time.perf_counter() - began)
            await redis.aclose(close_connection_pool=True)
        with demo_upstream() as upstream:
            async with valkey() as server:
                with sidecar(upstream, REDIS_URL=server.url) as (url, _):
                    await asyncio.to_thread(post, f"{url}/jobs", jobs[0])
                    began = time.perf_counter()
                    reply: dict[str, Any] = await asyncio.to_thread(post, f"{url}/jobs", {"jobs": jobs})
                    posted.append(time.perf_counter() - began)
                    assert len({job["job_id"] for job in reply["jobs"]}) == count
    ratio = min(posted) / min(bare)
    line("seconds", f"{min(posted):.2f}, bare {min(bare):.2f}: {ratio:.2f} x", ratio <= 1.5)


SCENES = {"crash": crash, "twice": twice, "rate": rate, "background": background, "enqueue": enqueue}


def main() -> None:
    for name in sys.argv[1:] or SCENES:
        asyncio.run(SCENES[name]())


if __name__ == "__main__":
    main()
