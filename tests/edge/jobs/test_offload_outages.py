"""Promises of offloaded summaries where Redis or the worker goes: the answer is made here, or its job is named."""

import asyncio
import json

import pytest

from sidecar.http.server.server import serve
from sidecar.jobs.offload import LIMIT_SECONDS
from sidecar.service import service_of
from sidecar.wiring import server_jobs
from tests.support.held_provider import HeldUpstream
from tests.support.http_sidecar import Sidecar, post, settings_of
from tests.support.offload_house import PATIENCE, house, long, until
from tests.support.valkey import valkey


@pytest.mark.parametrize("how", ["stopped", "silent"])
async def test_a_redis_that_went_away_unnoticed_costs_nothing_but_moments(how: str) -> None:
    """Long texts run here, short ones do not notice; once it is back, jobs are jobs again, without a restart."""
    async with house(limit=LIMIT_SECONDS) as home:
        await home.work()
        home.monitor.lost = lambda _: None  # type: ignore[assignment,method-assign] # it has not looked yet
        if how == "stopped":
            await home.server.stop()
        else:
            home.server.pause()
        assert home.monitor.alive
        started = asyncio.get_running_loop().time()
        asked = [home.ask(long(n)) for n in range(5)] + [home.ask("Short.")]
        assert {answer.json["data"] for answer in await asyncio.gather(*asked)} == {"Made here."}
        assert asyncio.get_running_loop().time() - started < PATIENCE / 2
        if how == "stopped":
            await home.server.start()
        else:
            home.server.resume()
        del home.monitor.lost
        home.offload._limit, home.offload._shy_until = 10.0, 0.0
        await home.known(alive=True)
        assert (await home.ask(long(99))).json["data"] == "Made there."


@pytest.mark.parametrize("how", ["stopped", "silent", "no worker"])
async def test_what_was_enqueued_is_made_here_where_redis_or_the_worker_goes(how: str) -> None:
    """The caller has the answer before the deadline, not a timeout."""
    async with house(lost=0.5) as home:
        home.offload._limit = 1.0
        await home.work()
        home.there.gate.clear()
        asked = asyncio.create_task(home.ask(long()))
        await home.waited_for()
        if how == "stopped":
            await home.server.stop()
        elif how == "silent":
            home.server.pause()
        else:
            await home.worker.aclose()
        assert (await asked).json["data"] == "Made here."


async def test_where_no_time_is_left_here_the_caller_gets_the_job_id() -> None:
    """Better than a second bill for an answer that comes too late."""
    async with house(lost=0.2) as home:
        home.offload._limit = 1.0
        await home.work()
        home.there.gate.clear()
        asked = asyncio.create_task(home.ask(long()))
        await home.waited_for()
        home.here.gate.clear()
        busy = asyncio.create_task(home.ask("Short."))
        await home.here.reached()
        home.service.kernel.calls.pool.providers[0].limit.duration = 1000.0  # what a call takes, as far as was measured
        await home.server.stop()
        reply = (await asked).json
        assert (reply["code"], len(reply["job_id"])) == ("timeout", 32)
        home.here.gate.set()
        await busy


async def test_the_server_as_it_is_wired_starts_without_redis_and_finds_it_later() -> None:
    """Nothing waits for Redis, and /status tells how it is."""
    async with valkey() as server:
        await server.stop()
        settings = settings_of(REDIS_URL=server.url, OFFLOAD_THRESHOLD="100")
        async with server_jobs(settings) as jobs:
            upstream = HeldUpstream()
            service = service_of(settings, upstream, jobs.offload)
            async with serve(service, settings, jobs=jobs.store, jobs_status=jobs.status) as listening:
                sidecar = Sidecar(listening, service, upstream)
                get = b"GET /status HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
                body = json.dumps({"action": "summarize", "content": long()}).encode()
                assert (await sidecar.fetch(post(body))).json["success"]
                assert (await sidecar.fetch(get)).json["jobs"]["redis"] == "down"
                await server.start()
                assert jobs.status is not None
                status = jobs.status
                await until(lambda: status().redis == "up")
                told = (await sidecar.fetch(get)).json["jobs"]
                nothing = {"day": 0, "night": 0}
                assert (told["redis"], told["reason"], told["warnings"], told["workers"]) == ("up", "", [], 0)
                assert (told["held"], told["running"], told["held_bytes"]) == (nothing, nothing, 0)
                assert (await sidecar.fetch(post(body, path="/jobs"))).status == 202


async def test_a_silent_redis_does_not_hold_up_the_end() -> None:
    """A server that stops lets go of it."""
    async with valkey() as server:
        async with asyncio.timeout(PATIENCE):
            async with server_jobs(settings_of(REDIS_URL=server.url)) as jobs:
                assert jobs.store is not None
                await jobs.store.look(["0" * 32])
                server.pause()
        server.resume()
