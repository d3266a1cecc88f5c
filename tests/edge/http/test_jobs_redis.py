"""Promises of the jobs' routes while Redis is away, in trouble or not there at all, and while the server drains."""

import asyncio
import json
import time

import pytest

from tests.support.http_sidecar import Answer, post, running
from tests.support.job_routes import JOB_ROUTES, Desk, desk, refused, text


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
    ("setting", "wrong", "right", "words", "code"),
    [
        ("maxmemory", "1", "0", "Redis is full", "overloaded"),
        ("requirepass", "another", "", "password", "jobs_unavailable"),
    ],
    ids=["full", "wrong password"],
)
async def test_a_redis_in_trouble_is_said_so(setting: str, wrong: str, right: str, words: str, code: str) -> None:
    """The reply names the trouble, /ai does not notice, and the same server goes on once it is mended."""
    async with desk() as routes, routes.server.client() as admin:
        await admin.config_set(setting, wrong)
        if setting == "requirepass":
            # Who is in stays in: so that the next word is on a new connection.
            await routes.store.redis.connection_pool.disconnect()
        assert words in refused(await routes.post(text()), 503, code)
        assert (await routes.sidecar.fetch(post(json.dumps(text()).encode()))).json["success"]
        await admin.config_set(setting, right)
        assert (await routes.post(text())).status == 202


async def test_a_callers_own_time_holds_while_redis_is_silent() -> None:
    """X-Request-Timeout bounds the wait of requests with a body too, whose headers are let go once it is read."""
    async with desk() as routes:
        routes.server.pause()
        started = time.monotonic()
        for path, body in (("/jobs", text()), ("/jobs/status", {"job_ids": ["0" * 32]})):
            answer = await routes.sidecar.fetch(post(json.dumps(body).encode(), "X-Request-Timeout: 0.5", path=path))
            refused(answer, 503, "jobs_unavailable")
        assert time.monotonic() - started < 4
        routes.server.resume()
