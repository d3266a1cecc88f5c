"""Promises of long summaries on /ai that run as jobs, with a real Valkey and a worker: nobody waits longer for it."""

import asyncio
import json
from typing import Any

from sidecar.core.errors import UpstreamAuth
from tests.support.http_sidecar import post
from tests.support.offload_house import house, long, until


async def test_a_long_summary_is_made_by_a_worker() -> None:
    """The reply is the ordinary one; short texts, chats and analyses stay here."""
    async with house() as home:
        await home.work()
        answer = await home.ask(long())
        assert (answer.status, answer.json) == (200, {"success": True, "data": "Made there.", "error": None})
        assert not home.here.calls
        assert (await home.ask("Short.")).json["data"] == "Made here."
        for action in ("chat", "analyze"):
            assert (await home.ask(long(2), action=action)).json["data"] == "Made here."
        assert len(home.there.calls) == 1


async def test_who_had_it_and_repeats_the_request_gets_another() -> None:
    """As with every summary: a second press wants another answer, and a finished job is the same one."""
    async with house() as home:
        await home.work()
        assert (await home.ask(long(), user_id="7")).json["data"] == "Made there."
        assert (await home.ask(long(), user_id="8")).json["data"] == "Made there."
        assert (await home.ask(long(), user_id="7")).json["data"] == "Made here."
        assert (len(home.there.calls), len(home.here.calls)) == (1, 1)


async def test_without_a_worker_it_is_made_here() -> None:
    """As always, and nothing is enqueued."""
    async with house() as home:
        assert (await home.ask(long())).json["data"] == "Made here."
        assert await home.store.redis.keys("*:queue:*") == []


async def test_the_same_text_at_once_is_one_job_and_one_call() -> None:
    """All get the answer; who comes later gets it too, without a call."""
    async with house() as home:
        await home.work()
        home.there.gate.clear()
        asked = [asyncio.create_task(home.ask(long(), user_id=n)) for n in range(10)]
        await home.there.reached()
        await until(lambda: home.service.kernel.flights.joined == 9)
        home.there.gate.set()
        assert {answer.json["data"] for answer in await asyncio.gather(*asked)} == {"Made there."}
        assert (await home.ask(long(), user_id=77)).json["data"] == "Made there."
        assert (len(home.there.calls), len(home.here.calls)) == (1, 0)


async def test_at_the_deadline_the_job_goes_on_and_is_there_for_the_next_try() -> None:
    """Code timeout with the job's id, for joiners too; asking again finds the result, which was paid once."""
    async with house(REQUEST_TIMEOUT="4") as home:
        await home.work()
        home.there.gate.clear()
        first, second = await asyncio.gather(home.ask(long()), home.ask(long(), user_id=8))
        for answer in (first, second):
            assert (answer.status, answer.json["code"]) == (200, "timeout")
            assert "again" in answer.json["error"]
        job_id = first.json["job_id"]
        assert second.json["job_id"] == job_id
        home.there.gate.set()
        assert (await home.ended(job_id)).data == "Made there."
        assert (await home.ask(long())).json == {"success": True, "data": "Made there.", "error": None}
        assert (len(home.there.calls), len(home.here.calls)) == (1, 0)


async def test_a_joiner_with_less_time_gets_the_job_id() -> None:
    """The joiner's deadline passes and the first caller's does not."""
    async with house() as home:
        await home.work()
        home.there.gate.clear()
        patient = asyncio.create_task(home.ask(long()))
        await home.waited_for()
        hasty = (await home.ask(long(), "X-Request-Timeout: 2")).json
        assert (hasty["code"], len(hasty["job_id"])) == ("timeout", 32)
        home.there.gate.set()
        assert (await patient).json["data"] == "Made there."


async def test_a_caller_who_leaves_leaves_the_job_going() -> None:
    """PHP hung up and will ask again: then it is there."""
    async with house() as home:
        await home.work()
        home.there.gate.clear()
        caller = await home.sidecar.call()
        await caller.send(post(json.dumps({"action": "summarize", "content": long()}).encode()))
        await home.there.reached()
        await caller.leave()
        await until(lambda: not home.offload._waiting)
        home.there.gate.set()
        assert (await home.ask(long())).json["data"] == "Made there."
        assert len(home.there.calls) == 1


async def test_what_fails_the_job_is_said_to_the_caller() -> None:
    """The same code and sentence as if it had run here, to each who waits; asking again is a new try."""
    async with house() as home:
        await home.work()
        home.there.gate.clear()
        home.there.failure = UpstreamAuth()
        asked = [asyncio.create_task(home.ask(long())) for _ in range(2)]
        await home.there.reached()
        home.there.gate.set()
        for answer in await asyncio.gather(*asked):
            assert (answer.status, answer.json["code"]) == (200, "upstream_auth")
            assert answer.json["error"] == str(UpstreamAuth())
        assert not home.here.calls


async def test_a_new_answer_on_request_is_made_here() -> None:
    """With Cache-Control: no-cache the finished job will not do."""
    async with house() as home:
        await home.work()
        await home.ask(long())
        assert (await home.ask(long(), "Cache-Control: no-cache")).json["data"] == "Made here."


async def test_a_cancelled_job_is_made_here() -> None:
    """Somebody deleted it; the caller still waits for an answer."""
    async with house() as home:
        await home.work()
        home.there.gate.clear()
        asked = asyncio.create_task(home.ask(long()))
        await home.there.reached()
        [job_id] = home.offload._waiting
        await home.store.cancel(job_id)
        assert (await asked).json["data"] == "Made here."


async def test_a_full_queue_of_jobs_is_no_reason_to_refuse() -> None:
    """There is room here."""
    async with house(JOB_QUEUE_SIZE="1") as home:
        await home.work()
        home.there.gate.clear()
        first = asyncio.create_task(home.ask(long(1)))
        await home.waited_for()
        assert (await home.ask(long(2))).json["data"] == "Made here."
        home.there.gate.set()
        assert (await first).json["data"] == "Made there."


async def test_one_look_serves_all_who_wait() -> None:
    """Fifty callers, a few looks: not one a caller."""
    async with house() as home:
        await home.work()
        home.there.gate.clear()
        asked = [asyncio.create_task(home.ask(long(n))) for n in range(50)]
        await home.waited_for(50)
        looks, before = [], home.store.look

        async def counted(ids: Any, *, limit: float = 5.0) -> Any:
            looks.append(len(ids))
            return await before(ids, limit=limit)

        home.store.look = counted  # type: ignore[method-assign]
        await until(lambda: len(looks) >= 3)
        assert looks == [50] * len(looks)
        home.there.gate.set()
        assert {answer.json["data"] for answer in await asyncio.gather(*asked)} == {"Made there."}
