"""Promises of `enqueue`, with a real Valkey: the same job once, all or nothing of a wrong file, and patience."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import AsyncExitStack
from pathlib import Path

from tests.support.job_commands import TEXT, command, environment, finish, lines_of, said, start
from tests.support.paths import ROOT
from tests.support.valkey import valkey
from tests.support.workers import PATIENCE, counting_provider, ended, jobs_of, lecture, until, worker


async def test_twice_is_once() -> None:
    """The same file again, also at the same time, gives the same ids and makes no further job."""
    async with valkey() as server, jobs_of(REDIS_URL=server.url) as store:
        env = environment(server)
        text = lines_of([lecture(n, 3) for n in range(300)])
        first, second = await asyncio.gather(*(command("enqueue", "-", stdin=text, env=env) for _ in range(2)))
        assert first.code == second.code == 0
        assert [line["job_id"] for line in first.lines] == [line["job_id"] for line in second.lines]
        assert await store.redis.zcard(store.names.queue("night")) == 300


async def test_a_wrong_line_refuses_the_whole_file() -> None:
    """Each wrong line is named with what is wrong, no word of it is repeated, and nothing is enqueued."""
    async with valkey() as server, jobs_of(REDIS_URL=server.url) as store:
        text = (
            lines_of([lecture(1)])
            + f'{{"action": "chat"}}\n\n{{"{TEXT}\n{{"action": "{TEXT}", "content": "x"}}\n'.encode()
        )
        text += b'{"action": "chat", "content": "' + b"x" * 2000 + b'"}\n' + b"[]\n" * 30
        done = await command("enqueue", "-", "--jobs-max-body-bytes=1024", stdin=text, env=environment(server))
        assert (done.code, done.lines) == (1, [])
        for words in (
            "line 1: The line is longer",
            "line 2: The field content is missing",
            "line 4: ",
            "line 5: The act",
        ):
            assert words in done.said
        assert done.said.count(": line ") == 20
        assert "35 of 35 lines are wrong; nothing was enqueued" in done.said
        assert TEXT not in done.said
        assert await store.redis.zcard(store.names.queue("night")) == 0


async def test_a_full_queue_takes_what_fits() -> None:
    """What finds room is enqueued and printed; the rest is said, and running again with patience goes on."""
    async with (
        valkey() as server,
        counting_provider() as provider,
        jobs_of(REDIS_URL=server.url) as store,
        AsyncExitStack() as stack,
    ):
        env = environment(server, provider) | {"JOB_QUEUE_SIZE": "7"}
        text = lines_of([lecture(n, 3) for n in range(30)])
        done = await command("enqueue", "-", stdin=text, env=env)
        assert (done.code, len(done.lines)) == (1, 7)
        assert "7 of 30 enqueued. The queue of jobs is full." in done.said
        waiting = await start("enqueue", "-", "--wait=100", env=env)
        assert waiting.stdin is not None
        waiting.stdin.write(text)
        waiting.stdin.close()
        heard = await said(waiting, "Waiting up to 100 seconds")
        await stack.enter_async_context(worker(**env))
        done = await finish(waiting)
        assert (done.code, len(done.lines)) == (0, 30)
        assert (heard + done.said).count("\n") == 2
        await until(store, [line["job_id"] for line in done.lines], ended)
        assert set(provider.calls.values()) == {1}


async def test_a_redis_that_is_away_can_be_waited_for() -> None:
    """With patience; but a chat of nobody, which could come to be there twice, is given back at once."""
    async with valkey() as server:
        env = environment(server)
        await server.stop()
        nobody = json.dumps({"action": "chat", "content": "x"}).encode()
        assert (await command("enqueue", "-", "--wait=100", stdin=nobody, env=env)).code == 1
        waiting = await start("enqueue", "-", "--wait=100", env=env)
        assert waiting.stdin is not None
        waiting.stdin.write(lines_of([lecture(n, 3) for n in range(5)]))
        waiting.stdin.close()
        await said(waiting, "Waiting up to 100 seconds")
        await server.start()
        done = await finish(waiting)
        assert (done.code, len(done.lines)) == (0, 5)


async def test_a_full_disk_is_said() -> None:
    """Exit code 1 and a sentence, no traceback."""
    async with valkey() as server:
        with Path("/dev/full").open("wb") as full:  # noqa: ASYNC230 - a device
            process = await asyncio.create_subprocess_exec(
                *[sys.executable, "-m", "sidecar", "enqueue", "-"],
                cwd=ROOT,
                env=environment(server),
                stdin=PIPE,
                stdout=full,
                stderr=PIPE,
            )
            done = await finish_said(process, lines_of([lecture(1)]))
        assert done[0] == 1
        assert b"No space left on device" in done[1]
        assert b"Traceback" not in done[1]


async def finish_said(process: Process, stdin: bytes) -> tuple[int | None, bytes]:
    async with asyncio.timeout(PATIENCE):
        _, err = await process.communicate(stdin)
    return process.returncode, err
