"""Promises of `enqueue` and `collect` alike: without Redis, stopped by a signal, and on a terminal."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE

import pytest

from tests.support.job_commands import command, environment, finish, lines_of, said, start
from tests.support.paths import ROOT
from tests.support.terminals import shown, terminal
from tests.support.valkey import valkey
from tests.support.workers import PATIENCE, lecture


async def test_without_redis_it_is_said() -> None:
    """Exit code 1 and a sentence; a wrong call and a wrong setting are exit code 2."""
    env = {"REDIS_URL": "redis://:canary@127.0.0.1:1/0"}
    text = lines_of([lecture(1)])
    done = await command("enqueue", "-", stdin=text, env=env)
    assert (done.code, done.lines) == (1, [])
    assert "0 of 1 enqueued. Jobs are not available" in done.said
    done = await command("collect", "-", "--no-wait", stdin=text, env=env)
    assert (done.code, [line["code"] for line in done.lines]) == (1, ["jobs_unavailable"])
    assert "canary" not in done.said
    for name in ("enqueue", "collect"):
        assert (await command(name, "-", stdin=text, env={})).code == 2
        assert (await command(name, "/no/such/file", env=env)).code == 2
        assert (await command(name, env=env)).code == 2
        assert (await command(name, "-", "--port=x", stdin=text, env=env)).code == 2
        told = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "sidecar", name, "--help", cwd=ROOT, stdout=PIPE
        )
        assert b"Exit code: 0" in (await told.communicate())[0]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_the_waiting(number: signal.Signals) -> None:
    """Exit code 1, without a traceback."""
    async with valkey() as server:
        env = environment(server) | {"JOB_QUEUE_SIZE": "1"}
        for words in (("enqueue", "-", "--wait=1000"), ("collect", "-")):
            process = await start(*words, env=env)
            assert process.stdin is not None
            process.stdin.write(lines_of([lecture(n, 3) for n in range(2)]))
            process.stdin.close()
            assert process.stdout is not None
            if words[0] == "enqueue":
                await process.stdout.readline()
                await said(process, "Waiting")
            else:
                await server.stop()
                await said(process, "Waiting")
            process.send_signal(number)
            done = await finish(process)
            assert done.code == 1
            assert "Traceback" not in done.said


async def test_on_a_terminal_there_is_a_bar() -> None:
    """It moves on stderr to the end, and stdout has replies alone."""
    async with valkey() as server:
        for words, total in ((("enqueue", "-"), b"30/30"), (("collect", "-", "--no-wait"), b"30/30")):
            with terminal() as (ours, theirs):
                process = await asyncio.create_subprocess_exec(
                    *[sys.executable, "-m", "sidecar", *words],
                    cwd=ROOT,
                    env=environment(server),
                    stdin=PIPE,
                    stdout=PIPE,
                    stderr=theirs,
                )
                os.close(theirs)
                text = asyncio.create_task(asyncio.to_thread(shown, ours))
                async with asyncio.timeout(PATIENCE):
                    out, _ = await process.communicate(lines_of([lecture(n, 3) for n in range(30)]))
                    bar = await text
            assert len([json.loads(line) for line in out.splitlines()]) == 30
            assert total in bar
            assert b"100%" in bar
            assert words[0].encode() in bar
