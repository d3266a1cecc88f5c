"""REDIS_URL=embedded for tests: the command with its jobs, and the processes that it starts. No promises here."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from redis.asyncio import Redis

from sidecar.core.errors import JobsUnavailable
from sidecar.jobs.store import JobStore
from tests.support.server_process import PATIENCE, Served, served
from tests.support.workers import ended, jobs_of, lecture, until

DEMO = ("--demo", "--jobs")


def family(folder: str) -> dict[str, int]:
    """Return the ids of a server's processes that are alive, by name: server, valkey, worker."""
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            words, env = (place / "cmdline").read_bytes(), (place / "environ").read_bytes()
        except OSError:
            continue
        if folder.encode() in words + env and int(place.name) != os.getpid():
            name = "valkey" if b"valkey-server" in words else "worker" if b"worker" in words else "server"
            found[name] = int(place.name)
    return found


def of_process(pid: int, what: str) -> bytes:
    return Path(f"/proc/{pid}/{what}").read_bytes()


def open_to_others(folder: str) -> list[Path]:
    return [path for path in (Path(folder), *Path(folder).rglob("*")) if path.stat().st_mode & 0o077]


def break_file(folder: str) -> None:
    """Write a file that Valkey cannot read."""
    broken = Path(folder, "appendonlydir", "appendonly.aof.manifest")
    broken.parent.mkdir(parents=True)
    broken.write_text("nonsense\n")


async def seen(folder: str, right: Callable[[dict[str, int]], bool]) -> dict[str, int]:
    async with asyncio.timeout(PATIENCE):
        while not right(family(folder)):  # noqa: ASYNC110 - other processes
            await asyncio.sleep(0.02)
    return family(folder)


def with_jobs(folder: str, *words: str, **env: str) -> AbstractAsyncContextManager[Served]:
    return served(*(words or DEMO), f"--state-dir={folder}", **env)


@asynccontextmanager
async def jobs(folder: str) -> AsyncIterator[JobStore]:
    async with jobs_of(REDIS_URL=f"unix://{folder}/valkey.sock") as store:
        yield store


async def done(store: JobStore, number: int) -> str:
    """Enqueue a job, however long there is no Valkey; return the id once the job is complete."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                [job] = await store.enqueue([lecture(number, 3)])
                break
            except JobsUnavailable:
                await asyncio.sleep(0.05)
    [job_seen] = await until(store, [job.job_id], ended)
    assert job_seen is not None
    assert (job_seen.status, bool(job_seen.data)) == ("complete", True)
    return job.job_id


async def on_disk(folder: str) -> None:
    """Return once all that was said to Valkey is in its file."""
    async with Redis(unix_socket_path=f"{folder}/valkey.sock") as client:
        await client.execute_command("WAITAOF", 1, 0, 30_000)  # type: ignore[no-untyped-call]


async def kept(store: JobStore, job_id: str) -> None:
    [job] = await until(store, [job_id], lambda jobs: jobs[0] is not None)
    assert job is not None
    assert job.status == "complete"
