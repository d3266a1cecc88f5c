"""Promises of `collect`, with a real Valkey and a real worker: one reply for each line, in order, whatever happened."""

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path

from tests.support.job_commands import KEY, TEXT, command, environment, finish, lines_of, put, said, start
from tests.support.valkey import valkey
from tests.support.workers import PATIENCE, counting_provider, jobs_of, lecture, worker


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
