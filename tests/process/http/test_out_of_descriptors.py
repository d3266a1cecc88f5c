"""Promises of a process that may have few open files: a burst waits outside, and every caller is answered."""

import asyncio
import sys

from sidecar.demo.options import Options
from sidecar.demo.server import serve
from tests.support.http_sidecar import Caller, post
from tests.support.paths import ROOT
from tests.support.server_process import served

FEW = 'ulimit -n 128; exec "$@"'


async def test_three_hundred_callers_find_a_place_in_128_open_files() -> None:
    """All are connected before the first is served; none is reset, refused or forgotten."""
    async with (
        serve(Options(latency=0.02)) as demo,
        served(
            f"--base-url={demo.url}/v1", "--api-key=k", "--concurrency=8", "--request-timeout=120", shell=FEW
        ) as server,
    ):
        callers = await asyncio.gather(*(server.call() for _ in range(300)))

        async def ask(number: int, caller: Caller) -> bool:
            await caller.send(post(b'{"action": "chat", "content": "%d", "user_id": %d}' % (number, number)))
            success: bool = (await caller.receive()).json["success"]
            await caller.leave()
            return success

        assert all(await asyncio.gather(*(ask(number, caller) for number, caller in enumerate(callers))))
        paused = [line for line in server.log if line["event"] == "accepting_paused"]
        # 128 less 64 for the process itself and two for each of eight provider calls.
        assert {line["connections"] for line in paused} == {48}
        server.process.terminate()
        assert await server.ended() == 0
        resumed = [line for line in server.log if line["event"] == "accepting_resumed"]
        assert len(resumed) == len(paused)


async def test_too_few_open_files_stop_it_at_once() -> None:
    """Exit code 2 and one line that says how many are needed."""
    command = ("/bin/sh", "-c", FEW, "sh", sys.executable, "-m", "sidecar", "--http-mode", "--port=0", "--api-key=k")
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env={}, stderr=asyncio.subprocess.PIPE)
    _, said = await process.communicate()
    assert process.returncode == 2
    line = said.decode().splitlines()[-1]
    assert line.startswith("openai-moodle-sidecar: CONCURRENCY=64: needs 208 open files and this process may have 128")
