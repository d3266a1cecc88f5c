"""Promises of long summaries on /ai that run as jobs, with a real Valkey and a worker: nobody waits longer for it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from sidecar.core.errors import UpstreamAuth
from sidecar.engine.service import Service
from sidecar.http.server.server import serve
from sidecar.jobs.monitor import LOOK_SECONDS, monitoring
from sidecar.jobs.offload import LIMIT_SECONDS, Offload, looking_on
from sidecar.jobs.store import JobStore
from sidecar.jobs.worker.worker import working
from sidecar.wiring import job_handlers, server_jobs, service_of
from tests.support.held_provider import HeldUpstream
from tests.support.http_sidecar import Answer, Sidecar, post, settings_of
from tests.support.valkey import Valkey, valkey
from tests.support.workers import jobs_of

PATIENCE = 60.0


async def until(there: Callable[[], bool]) -> None:
    """Return once it is so."""
    async with asyncio.timeout(PATIENCE):
        while not there():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


class House:
    """A sidecar, its Valkey, and a worker with a provider of its own, so that it shows who asked."""

    def __init__(self, server: Valkey, stack: AsyncExitStack, named: dict[str, str]) -> None:
        self.server = server
        self.named = {"REDIS_URL": server.url, "OFFLOAD_THRESHOLD": "100", "REQUEST_TIMEOUT": "60"} | named
        self.here = HeldUpstream(text="Made here.")
        self.there = HeldUpstream(text="Made there.")
        self.store: JobStore
        self.offload: Offload
        self.service: Service
        self.sidecar: Sidecar
        self.worker = AsyncExitStack()
        self._stack = stack

    async def open(self, *, limit: float, lost: float) -> None:
        """The sidecar; `limit` and `lost` as the offload has them."""
        enter = self._stack.enter_async_context
        self.store = await enter(jobs_of(**self.named))
        self.monitor = await enter(monitoring(self.store, every=0.05, limit=max(LOOK_SECONDS, limit / 2)))
        settings = settings_of(**self.named)
        threshold = settings.offload_threshold
        self.offload = Offload(self.store, self.monitor, threshold=threshold, limit=limit, lost=lost)
        await enter(looking_on(self.offload))
        self.service = service_of(settings, self.here, self.offload)
        listening = await enter(serve(self.service, settings, jobs=self.store, jobs_status=self.monitor.status))
        self.sidecar = Sidecar(listening, self.service, self.here)

    async def work(self) -> None:
        """Register a worker, so that the sidecar knows of it from now on."""
        await self._stack.enter_async_context(self.worker)
        store = await self.worker.enter_async_context(jobs_of(**self.named))
        benches = job_handlers(settings_of(**self.named), self.there, store)
        await self.worker.enter_async_context(working(store, benches))
        await self.known(alive=True)

    async def known(self, *, alive: bool) -> None:
        await until(lambda: self.monitor.alive is alive)

    async def ask(self, content: str, *headers: str, **fields: object) -> Answer:
        """The answer to a text to summarize."""
        body = json.dumps({"action": "summarize", "content": content, **fields}).encode()
        return await self.sidecar.fetch(post(body, *headers))

    async def waited_for(self, count: int = 1) -> None:
        """Return once so many jobs are waited for."""
        await until(lambda: len(self.offload._waiting) >= count)

    async def ended(self, job_id: str) -> Any:
        async with asyncio.timeout(PATIENCE):
            while True:
                [job] = await self.store.look([job_id])
                if job is not None and job.ended:
                    return job
                await asyncio.sleep(0.02)


@asynccontextmanager
async def house(*, limit: float = 10.0, lost: float = PATIENCE, **named: str) -> AsyncIterator[House]:
    """A house without a worker; its Redis gets more time than one in service, since test machines are slow."""
    async with valkey() as server, AsyncExitStack() as stack:
        opened = House(server, stack, named)
        await opened.open(limit=limit, lost=lost)
        yield opened


def long(number: int = 1) -> str:
    return f"Text {number} says that rivers run to the sea. " * 10


async def test_a_long_summary_is_made_by_a_worker() -> None:
    """The reply is the ordinary one; short texts, chats and analyses stay here."""
    async with house() as home:
        await home.work()
        answer = await home.ask(long())
        assert (answer.status, answer.json) == (200, {"success": True, "data": "Made there."})
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
        assert (await home.ask(long())).json == {"success": True, "data": "Made there."}
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
                get = b"GET /status HTTP/1.1\r\nHost: x\r\n\r\n"
                body = json.dumps({"action": "summarize", "content": long()}).encode()
                assert (await sidecar.fetch(post(body))).json["success"]
                assert (await sidecar.fetch(get)).json["jobs"]["redis"] == "down"
                await server.start()
                assert jobs.status is not None
                status = jobs.status
                await until(lambda: status().redis == "up")  # type: ignore[attr-defined]
                told = (await sidecar.fetch(get)).json["jobs"]
                assert told == {"redis": "up", "reason": "", "workers": 0, "held": {"day": 0, "night": 0}}
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
