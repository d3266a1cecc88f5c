"""Promises of the jobs' routes, with a real Valkey: who is told what, also while Redis is away or we are draining."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import pytest

from sidecar.core.errors import UpstreamError
from sidecar.engine.service import Service
from sidecar.http.routes.jobs import STATUS_BODY_BYTES
from sidecar.http.server.server import serve
from sidecar.jobs.store import JobStore
from sidecar.jobs.worker.lease import Run, Runs
from sidecar.wiring import service_of
from tests.support.held_provider import HeldUpstream
from tests.support.http_sidecar import Answer, Sidecar, chunks, head, post, running, settings_of
from tests.support.valkey import Valkey, valkey
from tests.support.workers import jobs_of

NO_ID = "0" * 32


class Desk(NamedTuple):
    """A sidecar with its jobs, and the Valkey that holds them."""

    sidecar: Sidecar
    store: JobStore
    server: Valkey

    @property
    def service(self) -> Service:
        return self.sidecar.service

    async def post(self, body: object, path: str = "/jobs", *headers: str) -> Answer:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.sidecar.fetch(post(raw, *headers, path=path))

    async def states(self, *ids: object) -> Any:
        return (await self.post({"job_ids": ids}, "/jobs/status")).json

    async def say(self, method: str, path: str) -> Answer:
        return await self.sidecar.fetch(head(path=path, method=method))

    async def run(self, job_id: str) -> Run:
        """A run of the job, as a worker begins it."""
        redis: Any = self.store.redis
        gen = await redis.hget(self.store.names.job(job_id), "gen")
        return await Runs(self.store, keep_seconds=60).begin(f"{job_id}.{gen.decode()}")

    async def held(self) -> int:
        """Jobs in the queues."""
        return sum([await self.store.redis.zcard(queue) for queue in self.store.names.queues])


@asynccontextmanager
async def opened(server: Valkey, **named: str) -> AsyncIterator[Desk]:
    """The routes over `server`."""
    settings = settings_of(REDIS_URL=server.url, **named)
    upstream = HeldUpstream()
    service = service_of(settings, upstream)
    async with jobs_of(REDIS_URL=server.url, **named) as store, serve(service, settings, jobs=store) as listening:
        yield Desk(Sidecar(listening, service, upstream), store, server)


@asynccontextmanager
async def desk(**named: str) -> AsyncIterator[Desk]:
    """The routes over a Valkey of their own."""
    async with valkey() as server, opened(server, **named) as routes:
        yield routes


def text(number: int = 1, **more: object) -> dict[str, object]:
    return {"action": "summarize", "content": f"Text {number} says that rivers run to the sea."} | more


def refused(answer: Answer, status: int, code: str) -> str:
    """The sentence of a no."""
    assert (answer.status, answer.json["code"]) == (status, code), answer
    assert answer.json["success"] is False
    assert answer.headers["x-request-id"]
    sentence: str = answer.json["error"]
    assert 0 < len(sentence) <= 300
    assert not set(sentence) & set("<>&")
    return sentence


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


@pytest.mark.parametrize(
    ("entry", "code", "says"),
    [
        ({"action": "summarize"}, "invalid_request", "content is missing"),
        ({"action": "summarize", "content": " "}, "invalid_request", "content is blank"),
        ({"action": "summarize", "content": ["x"]}, "invalid_request", "content must be a string"),
        ({"action": "summarize", "content": "x", "user_id": {}}, "invalid_request", "user_id must be"),
        ({"action": "dance", "content": "x"}, "unknown_action", "action is unknown"),
        ("text", "invalid_json", "not a JSON object"),
        (None, "invalid_json", "not a JSON object"),
    ],
)
async def test_one_wrong_entry_refuses_the_list(entry: object, code: str, says: str) -> None:
    """It is named by its index, in the sentence and in a field; nothing is enqueued."""
    async with desk() as routes:
        answer = await routes.post({"jobs": [text(1), text(2), entry, text(3)]})
        sentence = refused(answer, 400, code)
        assert sentence.startswith("jobs[2]: ")
        assert says in sentence
        assert answer.json["index"] == 2
        assert await routes.held() == 0


DEEP = b"[" * 200_000


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_json"),
        (b"nonsense", "invalid_json"),
        (b"[]", "invalid_json"),
        (b"null", "invalid_json"),
        (b'"jobs"', "invalid_json"),
        (b'{"jobs": [', "invalid_json"),
        (b'{"jobs": [{]}', "invalid_json"),
        (b'{"jobs": ["\xff"]}', "invalid_json"),
        (b'{"jobs": [{"action": "chat", "content": "\\ud800"}]}', "invalid_json"),
        (DEEP, "invalid_json"),
        (b'{"jobs": ' + DEEP, "invalid_json"),
        (b'{"jobs": [' + DEEP, "invalid_json"),
        (b'{"x": ' + DEEP, "invalid_json"),
        (b"{}", "invalid_request"),
        (b'{"jobs": null}', "invalid_request"),
        (b'{"jobs": 7}', "invalid_request"),
        (b'{"jobs": {}}', "invalid_request"),
        (b'{"jobs": []}', "invalid_request"),
        (b'{"jobs": "many", "action": "chat", "content": "x"}', "invalid_request"),
        (b'{"action": "dance", "content": "x"}', "unknown_action"),
    ],
)
async def test_what_makes_no_sense_is_said_so(body: bytes, code: str) -> None:
    """Every sort of it, with the status that tells the truth."""
    async with desk() as routes:
        refused(await routes.post(body), 400, code)
        assert await routes.held() == 0


async def test_a_body_that_would_unfold_to_gigabytes_is_refused_where_it_begins() -> None:
    """Millions of entries, or of lists where a text belongs, are not built."""
    async with desk() as routes:
        many = b'{"jobs": [' + b"{}," * 5_000_000 + b"{}]}"
        assert "more than 1000" in refused(await routes.post(many), 400, "invalid_request")
        lists = b'{"jobs": [{"action": "chat", "content": [' + b"[]," * 5_000_000 + b"[]]}]}"
        assert "content must be a string" in refused(await routes.post(lists), 400, "invalid_request")


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


@pytest.mark.parametrize(
    ("body", "index"),
    [
        ({}, None),
        ({"job_ids": None}, None),
        ({"job_ids": "a"}, None),
        ({"job_ids": {"a": 1}}, None),
        ({"job_ids": []}, None),
        ({"job_ids": ["a"] * 1001}, None),
        ({"job_ids": ["a", 7]}, 1),
        ({"job_ids": [None]}, 0),
        ({"job_ids": [["a"]]}, 0),
        ({"job_ids": ["a", "b", ""]}, 2),
        ({"job_ids": [" "]}, 0),
        ({"job_ids": ["x" * 129]}, 0),
        ({"job_ids": ["ä"]}, 0),
        ({"job_ids": ["\x00"]}, 0),
        ({"job_ids": ["*\n"]}, 0),
    ],
)
async def test_wrong_ids_are_said_so(body: object, index: int | None) -> None:
    """Which of them, where one is wrong."""
    async with desk() as routes:
        answer = await routes.post(body, "/jobs/status")
        refused(answer, 400, "invalid_request")
        assert answer.json.get("index") == index
        for raw in (b"", b"[]", b"nonsense", b'{"job_ids": ' + DEEP, b'{"job_ids": ["\\ud800"]}'):
            refused(await routes.post(raw[:STATUS_BODY_BYTES], "/jobs/status"), 400, "invalid_json")


async def test_a_thousand_ids_are_one_request() -> None:
    """In the order of the question."""
    async with desk() as routes:
        ids = [job["job_id"] for job in (await routes.post({"jobs": [text(n) for n in range(1000)]})).json["jobs"]]
        told = await routes.states(*ids[::-1])
        assert [job["job_id"] for job in told["jobs"]] == ids[::-1]
        assert {job["status"] for job in told["jobs"]} == {"queued"}


@pytest.mark.parametrize("name", [NO_ID, "x", "", "%00", "0" * 31, "0" * 32 + "%0A", "*", "F" * 32, "job:" + NO_ID])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_a_job_that_is_not_known_is_404(method: str, name: str) -> None:
    """Whatever its id looks like."""
    async with desk() as routes:
        refused(await routes.say(method, f"/jobs/{name}"), 404, "not_found")


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


PATHS = {"/jobs": "POST", "/jobs/status": "POST", f"/jobs/{NO_ID}": "GET, DELETE"}


async def test_other_addresses_and_methods_are_refused() -> None:
    """404 below /jobs for what is not there, 405 with Allow for what is, in the envelope."""
    async with desk() as routes:
        for path in (
            "/jobs/",
            "/jobs//",
            f"/jobs/{NO_ID}/",
            f"/jobs/{NO_ID}/x",
            "/jobs/status/",
            "/jobs/a/b/c",
            "/job",
        ):
            for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "PROPFIND"):
                refused(await routes.say(method, path), 404, "not_found")
        for path, allowed in PATHS.items():
            for method in {"GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND"} - set(allowed.split(", ")):
                answer = await routes.say(method, path)
                refused(answer, 405, "method_not_allowed")
                assert answer.headers["allow"] == allowed


JOB_ROUTES = [("POST", "/jobs"), ("POST", "/jobs/status"), ("GET", f"/jobs/{NO_ID}"), ("DELETE", f"/jobs/{NO_ID}")]


@pytest.mark.parametrize(("method", "path"), JOB_ROUTES)
async def test_the_token_is_required_where_there_is_one(method: str, path: str) -> None:
    """Before anything else; with it the route answers."""
    async with desk(SIDECAR_TOKEN="canary") as routes:
        refused(await routes.say(method, path), 401, "unauthorized")
        answer = await routes.sidecar.fetch(head("Authorization: Bearer canary", path=path, method=method))
        assert answer.status in {404, 415}


@pytest.mark.parametrize(("method", "path"), JOB_ROUTES)
async def test_without_redis_there_are_no_jobs(method: str, path: str) -> None:
    """The routes are there and say what turns them on; /ai works."""
    async with running() as sidecar:
        answer = await sidecar.fetch(post(json.dumps(text()).encode(), path=path).replace(b"POST", method.encode(), 1))
        assert "REDIS_URL" in refused(answer, 503, "jobs_unavailable")
        assert (await sidecar.fetch(post())).json["success"]


async def every(routes: Desk, job_id: str) -> list[Answer]:
    """One answer of each route."""
    return list(
        await asyncio.gather(
            routes.post(text(99)),
            routes.post({"job_ids": [job_id]}, "/jobs/status"),
            routes.say("GET", f"/jobs/{job_id}"),
            routes.say("DELETE", f"/jobs/{job_id}?user_id=nobody"),
        )
    )


@pytest.mark.parametrize("how", ["stopped", "killed", "silent"])
async def test_a_redis_that_is_away_is_said_so_in_time(how: str) -> None:
    """Every route answers 503 with why, /ai does not notice, and all is well once Redis is back, without a restart."""
    async with desk(REQUEST_TIMEOUT="1") as routes:
        job_id = (await routes.post(text())).json["job_id"]
        if how == "silent":
            routes.server.pause()
        else:
            await (routes.server.stop() if how == "stopped" else routes.server.kill())
        started = time.monotonic()
        asked = asyncio.create_task(every(routes, job_id))
        assert (await routes.sidecar.fetch(post(json.dumps(text()).encode()))).json["success"]
        for answer in await asked:
            assert "Redis" in refused(answer, 503, "jobs_unavailable")
        assert time.monotonic() - started < 30
        if how == "silent":
            routes.server.resume()
        else:
            await routes.server.start()
        for answer in await every(routes, job_id):
            assert answer.status in {200, 202}, answer
        assert (await routes.say("GET", f"/jobs/{job_id}")).json["status"] == "queued"


async def test_draining_takes_no_jobs_and_still_tells_of_them() -> None:
    """A caller who collects gets the results while others go; one who enqueues goes to the next process."""
    async with desk() as routes:
        job_id = (await routes.post(text())).json["job_id"]
        routes.service.drain.begin(60)
        refused(await routes.post(text(2)), 503, "shutting_down")
        assert (await routes.say("GET", f"/jobs/{job_id}")).json["status"] == "queued"
        assert (await routes.states(job_id))["jobs"][0]["status"] == "queued"
        assert (await routes.say("DELETE", f"/jobs/{job_id}")).json["status"] == "cancelled"


@pytest.mark.parametrize(
    ("setting", "wrong", "right", "words"),
    [("maxmemory", "1", "0", "is full"), ("requirepass", "another", "", "password")],
    ids=["full", "wrong password"],
)
async def test_a_redis_in_trouble_is_said_so(setting: str, wrong: str, right: str, words: str) -> None:
    """The reply names the trouble, /ai does not notice, and the same server goes on once it is mended."""
    async with desk() as routes, routes.server.client() as admin:
        await admin.config_set(setting, wrong)
        if setting == "requirepass":
            # Who is in stays in: so that the next word is on a new connection.
            await routes.store.redis.connection_pool.disconnect()
        assert words in refused(await routes.post(text()), 503, "jobs_unavailable")
        assert (await routes.sidecar.fetch(post(json.dumps(text()).encode()))).json["success"]
        await admin.config_set(setting, right)
        assert (await routes.post(text())).status == 202
