"""Promises of REDIS_URL=embedded when its processes are killed: each is replaced or ended, and no job is lost."""

import os
import signal

from tests.support.embedded_jobs import done, family, jobs, kept, on_disk, seen, with_jobs


async def test_a_killed_worker_is_replaced(folder: str) -> None:
    """The next job finds another one."""
    async with with_jobs(folder) as server, jobs(folder) as store:
        await done(store, 1)
        first = family(folder)["worker"]
        os.kill(first, signal.SIGKILL)
        await done(store, 2)
        assert family(folder)["worker"] != first
        told = await server.event("child_ended")
        assert (told["child"], told["how"]) == ("worker", "SIGKILL")


async def test_a_killed_valkey_is_replaced_with_its_data(folder: str) -> None:
    """What was in its file is there again, and nothing else was restarted for it."""
    async with with_jobs(folder) as server, jobs(folder) as store:
        job_id = await done(store, 1)
        await on_disk(folder)
        before = family(folder)
        os.kill(before["valkey"], signal.SIGKILL)
        assert (await server.event("child_ended"))["child"] == "valkey"
        await kept(store, job_id)
        await done(store, 2)
        after = family(folder)
        assert after["valkey"] != before["valkey"]
        assert after["worker"] == before["worker"]


async def test_a_killed_server_leaves_nobody_behind(folder: str) -> None:
    """Valkey writes its file and ends, the worker ends; the next start has the jobs."""
    async with jobs(folder) as store:
        async with with_jobs(folder) as server:
            job_id = await done(store, 1)
            server.process.kill()
            await seen(folder, lambda alive: not alive)
        async with with_jobs(folder):
            await kept(store, job_id)
            await done(store, 2)


async def test_a_valkey_left_over_is_ended_first(folder: str) -> None:
    """One that could not hear of its server's death holds its files: it is told once more, and its file taken over."""
    async with jobs(folder) as store:
        async with with_jobs(folder) as server:
            job_id = await done(store, 1)
            left = family(folder)["valkey"]
            os.kill(left, signal.SIGSTOP)
            server.process.kill()
            await seen(folder, lambda alive: list(alive) == ["valkey"])
        async with with_jobs(folder) as server:
            assert (await server.event("leftover"))["pid"] == left
            await kept(store, job_id)
            assert family(folder)["valkey"] != left
            await done(store, 2)
