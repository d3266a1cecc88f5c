"""Promises of the jobs' routes, with a real Valkey: jobs are enqueued, shown and cancelled, within limits of size."""

import asyncio
import json
from typing import Any

from sidecar.core.errors import UpstreamError
from sidecar.http.routes.jobs import STATUS_BODY_BYTES
from tests.support.http_sidecar import chunks, head, post
from tests.support.job_routes import NO_ID, desk, refused, text


async def test_one_request_is_one_job() -> None:
    """202 with its id and where it is; there it can be asked for."""
    async with desk() as routes:
        answer = await routes.post(text())
        assert answer.status == 202
        job_id = answer.json["job_id"]
        assert answer.json == {"success": True, "job_id": job_id, "status": "queued"}
        assert answer.headers["location"] == f"/jobs/{job_id}"
        seen = await routes.say("GET", answer.headers["location"])
        state = {"job_id": job_id, "status": "queued", "parts_done": 0, "parts_total": 0}
        assert (seen.status, seen.json) == (200, {"success": True} | state)


async def test_a_list_is_answered_in_its_order() -> None:
    """One id for each entry; the same text is the same job, now and the second time; no Location."""
    async with desk() as routes:
        entries = [text(1), text(2, user_id=7), text(1), {"action": "chat", "content": "Why?", "user_id": 7}]
        answer = await routes.post({"jobs": entries})
        assert answer.status == 202
        assert set(answer.json) == {"success", "jobs"}
        ids = [job["job_id"] for job in answer.json["jobs"]]
        assert (len(ids), ids[0], len(set(ids))) == (4, ids[2], 3)
        assert "location" not in answer.headers
        assert (await routes.post({"jobs": entries})).json == answer.json
        assert (await routes.post(text(1))).json["job_id"] == ids[0]
        assert await routes.held() == 3


async def test_a_thousand_fit_and_one_more_does_not() -> None:
    """Nor are the first thousand taken then."""
    async with desk() as routes:
        assert len((await routes.post({"jobs": [text(n) for n in range(1000)]})).json["jobs"]) == 1000
        answer = await routes.post({"jobs": [text(n) for n in range(1000, 2001)]})
        assert "more than 1000" in refused(answer, 400, "invalid_request")
        assert await routes.held() == 1000


async def test_a_text_keeps_its_characters() -> None:
    """NUL too; what is stored is what was sent."""
    async with desk() as routes:
        job_id = (await routes.post(text(1, content="a\x00b Ä 😀"))).json["job_id"]
        assert (await routes.run(job_id)).request.content == "a\x00b Ä 😀"


async def test_sizes_have_their_limit() -> None:
    """JOBS_MAX_BODY_BYTES and not /ai's, declared or not."""
    async with desk(MAX_BODY_BYTES="2000", JOBS_MAX_BODY_BYTES="20000") as routes:
        assert (await routes.post(text(1, content="x" * 15_000))).status == 202
        large = json.dumps(text(2, content="x" * 20_000)).encode()
        refused(await routes.post(large), 413, "too_large")
        raw = head("Content-Type: application/json", "Transfer-Encoding: chunked", path="/jobs") + chunks(large)
        refused(await routes.sidecar.fetch(raw), 413, "too_large")
        refused(await routes.post(b"x" * (STATUS_BODY_BYTES + 1), "/jobs/status"), 413, "too_large")
        answer = await routes.sidecar.fetch(post(b"{}", path="/jobs", kind="text/plain"))
        refused(answer, 415, "unsupported_media_type")
        assert routes.service.admission.held_bytes == 0


async def test_lists_leave_half_of_the_bytes_to_people() -> None:
    """A second large list waits its turn while the first one arrives; a question to /ai does not."""
    async with desk(QUEUE_BYTES="100000", JOBS_MAX_BODY_BYTES="60000", MAX_BODY_BYTES="40000") as routes:
        body = json.dumps(text(1, content="x" * 50_000)).encode()
        raw = post(body, path="/jobs")
        async with await routes.sidecar.call() as slow:
            await slow.send(raw[:-1])
            while not routes.service.admission.held:  # noqa: ASYNC110 - the wire says nothing of it
                await asyncio.sleep(0)
            refused(await routes.post(text(2, content="y" * 10_000)), 503, "overloaded")
            assert (await routes.sidecar.fetch(post(json.dumps(text(3)).encode()))).json["success"]
            await slow.send(raw[-1:])
            assert (await slow.receive()).status == 202
        assert (await routes.post(text(2, content="y" * 10_000))).status == 202


async def test_the_loop_goes_on_while_a_large_list_is_taken() -> None:
    """10 MB of a thousand texts: a look at /health in between is answered before they are enqueued."""
    async with desk() as routes:
        entries = [text(n, content=f"{n} " + "Flüsse fließen ins Meer. " * 400) for n in range(1000)]
        enqueued = asyncio.create_task(routes.post({"jobs": entries}))
        looks = 0
        while not enqueued.done():
            assert (await routes.say("GET", "/health")).status == 200
            looks += not enqueued.done()
        assert looks
        assert (await enqueued).status == 202


async def test_a_full_queue_refuses_the_whole_list() -> None:
    """503, with when to come back."""
    async with desk(JOB_QUEUE_SIZE="10") as routes:
        assert (await routes.post({"jobs": [text(n) for n in range(8)]})).status == 202
        answer = await routes.post({"jobs": [text(n) for n in range(5, 15)]})
        refused(answer, 503, "overloaded")
        assert int(answer.headers["retry-after"]) > 0
        assert await routes.held() == 8


async def test_a_job_is_shown_as_it_is() -> None:
    """At work with its progress, complete with its data, failed with why, and the same in a list."""
    async with desk() as routes:
        ids = [job["job_id"] for job in (await routes.post({"jobs": [text(1), text(2)]})).json["jobs"]]
        run = await routes.run(ids[0])
        await run.keep(b"one", "Part.", done=1, total=3)
        working = {"job_id": ids[0], "status": "in_progress", "parts_done": 1, "parts_total": 3}
        assert (await routes.say("GET", f"/jobs/{ids[0]}")).json == {"success": True} | working
        await run.complete("a<b & Ä")
        await (await routes.run(ids[1])).fail(UpstreamError("The provider <fell> over."))
        complete = working | {"status": "complete", "data": "a<b & Ä"}
        failed = {
            "job_id": ids[1],
            "status": "failed",
            "error": "The provider fell over.",
            "code": "upstream_error",
            "parts_done": 0,
            "parts_total": 0,
        }
        assert (await routes.say("GET", f"/jobs/{ids[0]}")).json == {"success": True} | complete
        assert (await routes.say("GET", f"/jobs/{ids[1]}")).json == {"success": True} | failed
        unknown = [{"job_id": name, "status": "unknown"} for name in (NO_ID, "x", NO_ID)]
        assert (await routes.states(ids[1], NO_ID, "x", ids[0], NO_ID)) == {
            "success": True,
            "jobs": [failed, unknown[0], unknown[1], complete, unknown[2]],
        }
        assert (await routes.post(text(1))).json["status"] == "complete"


async def test_html_safe_holds_for_results() -> None:
    """A space after each <, in both ways to read them."""
    async with desk(HTML_SAFE="true") as routes:
        job_id = (await routes.post(text())).json["job_id"]
        await (await routes.run(job_id)).complete("a<b")
        assert (await routes.say("GET", f"/jobs/{job_id}")).json["data"] == "a< b"
        assert (await routes.states(job_id))["jobs"][0]["data"] == "a< b"


async def test_a_thousand_ids_are_one_request() -> None:
    """In the order of the question."""
    async with desk() as routes:
        ids = [job["job_id"] for job in (await routes.post({"jobs": [text(n) for n in range(1000)]})).json["jobs"]]
        told = await routes.states(*ids[::-1])
        assert [job["job_id"] for job in told["jobs"]] == ids[::-1]
        assert {job["status"] for job in told["jobs"]} == {"queued"}


async def test_a_record_of_another_version_is_one_entry_and_no_500() -> None:
    """A newer version was rolled back: what it left is told per entry, with what to do."""
    async with desk() as routes:
        ids = [job["job_id"] for job in (await routes.post({"jobs": [text(n) for n in range(3)]})).json["jobs"]]
        redis: Any = routes.store.redis
        await redis.hset(routes.store.names.job(ids[1]), "status", "paused")
        told = (await routes.states(*ids))["jobs"]
        assert [job["status"] for job in told] == ["queued", "failed", "queued"]
        assert "Send the request again" in told[1]["error"]
        assert (await routes.say("GET", f"/jobs/{ids[1]}")).json["code"] == "internal"
        assert (await routes.post(text(1))).json["status"] == "queued"


async def test_the_same_delete_again_takes_nobody_elses_job() -> None:
    """Without a name too: a retry of the caller's, or of a proxy between."""
    async with desk() as routes:
        job_id = (await routes.post({"jobs": [text(1), text(1, user_id="8")]})).json["jobs"][0]["job_id"]
        for _ in range(3):
            assert (await routes.say("DELETE", f"/jobs/{job_id}")).json["status"] == "queued"
        assert (await routes.say("DELETE", f"/jobs/{job_id}?user_id=8")).json["status"] == "cancelled"


async def test_the_last_submitter_cancels() -> None:
    """Each takes himself away; with the last one the job is cancelled and starts anew when it is asked for again."""
    async with desk() as routes:
        job_id = (await routes.post({"jobs": [text(1, user_id=n) for n in (7, "8")]})).json["jobs"][0]["job_id"]
        assert (await routes.say("DELETE", f"/jobs/{job_id}?user_id=7")).json["status"] == "queued"
        assert (await routes.say("DELETE", f"/jobs/{job_id}?user_id=7")).json["status"] == "queued"
        answer = await routes.say("DELETE", f"/jobs/{job_id}?user_id=8")
        assert (answer.status, answer.json["status"]) == (200, "cancelled")
        assert "data" not in answer.json
        assert await routes.held() == 0
        assert (await routes.say("GET", f"/jobs/{job_id}")).json["status"] == "cancelled"
        assert (await routes.post(text(1))).json == {"success": True, "job_id": job_id, "status": "queued"}
        refused(await routes.say("DELETE", f"/jobs/{job_id}?user_id={'x' * 256}"), 400, "invalid_request")


async def test_a_finished_job_is_forgotten_with_its_result() -> None:
    """DELETE deletes what was found, too."""
    async with desk() as routes:
        job_id = (await routes.post(text())).json["job_id"]
        await (await routes.run(job_id)).complete("Rivers.")
        answer = await routes.say("DELETE", f"/jobs/{job_id}")
        assert answer.json["status"] == "cancelled"
        assert "Rivers." not in (await routes.say("GET", f"/jobs/{job_id}")).body.decode()
