"""Promises of `arq worker.WorkerSettings`: the same worker under arq's own command."""

import asyncio
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.paths import ROOT
from tests.support.valkey import Valkey, valkey
from tests.support.workers import PATIENCE, counting_provider, ended, jobs_of, lecture, until, worker
from worker.settings import worker_settings

ARQ = [sys.executable, "-m", "arq", "worker.WorkerSettings"]
CANARY = "secret%2Fcanary"
"""A password as an address has it; the real one has a slash."""


@pytest_asyncio.fixture
async def server() -> AsyncIterator[Valkey]:
    async with valkey("--requirepass", "secret/canary") as running:
        yield running


def settings(server: Valkey) -> dict[str, str]:
    return {"REDIS_URL": server.url.replace("unix://", f"unix://:{CANARY}@")}


async def arq(*words: str, **env: str) -> tuple[int, str]:
    """arq's command to its end; its exit code and what it said."""
    process = await asyncio.create_subprocess_exec(
        *ARQ, *words, cwd=ROOT, env={"OPENAI_API_KEY": "k"} | env, stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE
    )
    async with asyncio.timeout(PATIENCE):
        _, said = await process.communicate()
    return process.returncode or 0, said.decode()


async def test_it_works_off_both_lanes_and_ends_with_the_queue(server: Valkey) -> None:
    """`--burst` ends once nothing waits; nothing that is said quotes a text or the password."""
    env = settings(server)
    async with counting_provider() as provider, jobs_of(**env) as store:
        jobs = await store.enqueue([lecture(number) for number in range(5)])
        jobs += await store.enqueue([lecture(7)], lane="day")
        code, said = await arq("--burst", OPENAI_BASE_URL=provider.url, **env)
        done = await store.look([job.job_id for job in jobs])
    assert code == 0, said
    assert [job.status for job in done if job] == ["complete"] * 6
    assert sum(provider.calls.values()) == 6
    assert "rivers" not in said
    assert "canary" not in said


async def test_its_check_knows_the_worker(server: Valkey) -> None:
    """The health check of arq's command serves for both ways to start a worker."""
    env = settings(server)
    assert (await arq("--check", **env))[0] == 1
    async with worker("--demo", **env) as process:
        await process.event("working")
        async with jobs_of(**env) as store:
            await until(store, [(await store.enqueue([lecture(1)]))[0].job_id], ended)
        assert (await arq("--check", **env))[0] == 0


def test_its_check_verifies_the_certificate_of_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the worker does, and by the same CA."""
    for name, value in (("OPENAI_API_KEY", "k"), ("REDIS_URL", "rediss://there"), ("SSL_CERT_FILE", "/ca.pem")):
        monkeypatch.setenv(name, value)
    asked = worker_settings().redis_settings  # type: ignore[attr-defined]
    assert (asked.ssl, asked.ssl_check_hostname, asked.ssl_ca_certs) == (True, True, "/ca.pem")


async def test_a_killed_ones_job_is_taken_up_again_soon(server: Valkey) -> None:
    """The lease is ours here too, and no start is counted as a try."""
    env = settings(server)
    async with counting_provider() as provider, jobs_of(**env) as store:
        provider.latency = PATIENCE
        first = await asyncio.create_subprocess_exec(
            *ARQ, cwd=ROOT, env={"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": provider.url} | env, stderr=DEVNULL
        )
        [job] = await store.enqueue([lecture(1)])
        await until(store, [job.job_id], lambda _: provider.in_flight > 0)
        first.kill()
        await first.wait()
        provider.latency = 0.0
        async with worker(OPENAI_API_KEY="k", OPENAI_BASE_URL=provider.url, **env):
            [done] = await until(store, [job.job_id], ended)
    assert done is not None
    assert done.status == "complete"


async def test_settings_that_make_no_sense_end_it(server: Valkey) -> None:
    """One line a fault, and exit code 2, as everywhere."""
    code, said = await arq(PORT="x", **settings(server))
    assert code == 2
    assert said.startswith("worker.WorkerSettings: PORT=x: must be")
    assert "Traceback" not in said
