"""Promises of `enqueue` and `collect`: the real commands, a real Valkey, a real worker."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from sidecar.core.contract import Request
from sidecar.jobs.store import JobStore
from tests.support.paths import ROOT
from tests.support.server_process import finished
from tests.support.terminals import shown, terminal
from tests.support.valkey import Valkey, valkey
from tests.support.workers import PATIENCE, CountingProvider, counting_provider, ended, jobs_of, lecture, until, worker

KEY = "sk-canary4716"
TEXT = "canaryTEXT4717"


class Done(NamedTuple):
    """What a command left."""

    code: int
    lines: list[Any]
    said: str


async def start(*words: str, env: dict[str, str]) -> Process:
    """A command in an environment of nothing but `env`."""
    command = [sys.executable, "-m", "sidecar", *words]
    return await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env=env, stdin=PIPE, stdout=PIPE, stderr=PIPE, limit=2**26
    )


async def finish(process: Process, stdin: bytes = b"") -> Done:
    code, out, said = await finished(process, stdin)
    return Done(code, [json.loads(line) for line in out.splitlines()], said)


async def command(*words: str, stdin: bytes = b"", env: dict[str, str]) -> Done:
    return await finish(await start(*words, env=env), stdin)


def lines_of(requests: list[Request]) -> bytes:
    return b"".join(
        json.dumps({"action": r.action, "content": r.content, "user_id": r.user_id or None}).encode() + b"\n"
        for r in requests
    )


def environment(server: Valkey, provider: CountingProvider | None = None) -> dict[str, str]:
    return {
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": provider.url if provider else "http://127.0.0.1:1/v1",
        "REDIS_URL": server.url,
        "LOG_LEVEL": "debug",
    }


async def put(store: JobStore, job_id: str, **fields: str) -> None:
    """Let a job be as no worker made it."""
    pipe = store.redis.pipeline()
    pipe.hset(store.names.job(job_id), mapping=fields)
    await pipe.execute()


async def said(process: Process, words: str) -> str:
    """What it said on stderr up to a line with `words` in it."""
    assert process.stderr is not None
    heard = ""
    async with asyncio.timeout(PATIENCE):
        while words not in heard:
            line = await process.stderr.readline()
            assert line, heard
            heard += line.decode()
    return heard


async def test_what_is_enqueued_is_collected_in_its_order(tmp_path: Path) -> None:
    """A night: ids in the order of the requests, replies in the order of the ids, by ids and by requests alike."""
    async with valkey() as server, counting_provider() as provider, AsyncExitStack() as stack:
        env = environment(server, provider)
        file, ids = tmp_path / "in.jsonl", tmp_path / "ids.jsonl"
        file.write_bytes(b"\n  \r\n" + lines_of([lecture(n, 3) for n in range(40)]).replace(b"\n", b"\r\n", 5))
        enqueued = await command("enqueue", str(file), env=env)
        assert (enqueued.code, len(enqueued.lines)) == (0, 40)
        assert all(line["status"] == "queued" and set(line) == {"job_id", "status"} for line in enqueued.lines)
        assert enqueued.said == "openai-moodle-sidecar enqueue: 40 enqueued\n"
        running = await stack.enter_async_context(worker(**env))
        await running.event("working")
        ids.write_text("".join(json.dumps(line) + "\n" for line in enqueued.lines))
        collected = await command("collect", str(ids), env=env)
        assert (collected.code, collected.said) == (0, "openai-moodle-sidecar collect: 40 complete\n")
        for number, (line, job) in enumerate(zip(collected.lines, enqueued.lines, strict=True)):
            assert line == {
                "job_id": job["job_id"],
                "status": "complete",
                "success": True,
                "data": f"Summary of Lecture{number}x.",
            }
        assert (await command("collect", "-", stdin=file.read_bytes(), env=env)).lines == collected.lines
        assert set(provider.calls.values()) == {1}


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


async def test_every_ending_has_its_reply() -> None:
    """Complete, failed, cancelled, unknown, not ended and no job at all: one line each, in order, exit code 1."""
    async with (
        valkey() as server,
        jobs_of(REDIS_URL=server.url) as store,
    ):
        env = environment(server) | {"HTML_SAFE": "true"}
        jobs = await store.enqueue([lecture(n, 3) for n in range(3)])
        complete, failed, waiting = (job.job_id for job in jobs)
        await store.cancel(waiting)
        await put(store, complete, status="complete", data="a<b")
        await put(store, failed, status="failed", error="No.", code="timeout")
        [queued] = await store.enqueue([lecture(9, 3)])
        asked = [{"job_id": name} for name in (complete, failed, waiting, "0" * 32, f"<{TEXT}>", queued.job_id)]
        text = "".join(json.dumps(line) + "\n" for line in [*asked, {"action": "chat", "content": TEXT}, [TEXT]])
        done = await command("collect", "-", "--timeout=0.5", stdin=text.encode(), env=env)
        assert done.code == 1
        assert [(x["success"], x.get("status"), x.get("code")) for x in done.lines] == [
            (True, "complete", None),
            (False, "failed", "timeout"),
            (False, "cancelled", "cancelled"),
            (False, None, "not_found"),
            (False, None, "not_found"),
            (False, "queued", "timeout"),
            (False, None, "invalid_request"),
            (False, None, "invalid_json"),
        ]
        assert done.lines[0]["data"] == "a< b"
        assert all(line["error"] for line in done.lines[1:])
        assert "1 complete, 1 failed, 1 cancelled, 2 unknown or expired, 1 not ended, 2 wrong lines" in done.said
        assert TEXT not in done.said
        assert KEY not in done.said
        assert (await command("collect", "-", "--no-wait", stdin=text.encode(), env=env)).lines == done.lines


async def test_redis_may_go_and_come_while_it_is_waited() -> None:
    """Stopped and started with its file, between replies that are out and replies that are not: nothing is missing."""
    async with valkey() as server, counting_provider() as provider, AsyncExitStack() as stack:
        store = await stack.enter_async_context(jobs_of(REDIS_URL=server.url))
        env = environment(server, provider)
        jobs = await store.enqueue([lecture(n, 3) for n in range(20)])
        collecting = await start("collect", "-", env=env)
        assert collecting.stdin is not None
        assert collecting.stdout is not None
        collecting.stdin.write("".join(json.dumps({"job_id": job.job_id}) + "\n" for job in jobs).encode())
        collecting.stdin.close()
        await put(store, jobs[0].job_id, status="complete", data="Summary of Lecture0x.")
        async with asyncio.timeout(PATIENCE):
            line = await collecting.stdout.readline()
        await server.stop()
        heard = await said(collecting, "Waiting until it is there.")
        await server.start()
        heard += await said(collecting, "Redis is there again.")
        await stack.enter_async_context(worker(**env))
        done = await finish(collecting)
        assert done.code == 0
        replies = [json.loads(line), *done.lines]
        assert [reply["data"] for reply in replies] == [f"Summary of Lecture{n}x." for n in range(20)]
        assert set(provider.calls.values()) == {1}
        assert heard.count("Waiting") == heard.count("is there again") == 1


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
