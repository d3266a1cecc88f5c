"""Promise of a worker where nobody reads its log: it works on, and hears the signal that ends it."""

import asyncio
import fcntl
import os
import signal
import sys
from asyncio.subprocess import DEVNULL

import pytest

from sidecar.core.contract import Request
from tests.support.paths import ROOT
from tests.support.scale import scaled
from tests.support.valkey import valkey
from tests.support.workers import PATIENCE, ended, jobs_of, until

JOBS = scaled(300, 2000)


@pytest.mark.long
async def test_a_worker_whose_log_nobody_reads_goes_on() -> None:
    """A full pipe at stderr stops neither jobs, 2,000 at full scale, nor the drain."""
    read, write = os.pipe()
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)  # full after a dozen lines
    command = [sys.executable, "-m", "sidecar", "worker", "--log-format=json", "--demo"]
    texts = [Request(action="summarize", content=f"River {n} runs to the sea.") for n in range(JOBS)]
    async with valkey() as server, jobs_of(REDIS_URL=server.url) as store:
        worker = await asyncio.create_subprocess_exec(
            *command, cwd=ROOT, env={"REDIS_URL": server.url}, stdin=DEVNULL, stdout=DEVNULL, stderr=write
        )
        os.close(write)
        try:
            jobs = await store.enqueue(texts)
            ids = [job.job_id for job in jobs]
            await until(store, ids[-1:], ended)  # cheap to ask for; the others are done or near
            done = await until(store, ids, ended)
            assert [job.status for job in done if job is not None] == ["complete"] * JOBS
            assert len(os.read(read, 1 << 16)) <= 4096
            worker.send_signal(signal.SIGTERM)
            async with asyncio.timeout(PATIENCE):
                assert await worker.wait() == 0
        finally:
            if worker.returncode is None:
                worker.kill()
                await worker.wait()
            os.close(read)
