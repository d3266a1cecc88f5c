"""The jobs' routes for tests: a sidecar over a real Valkey, and its refusals checked. No promises here."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from sidecar.engine.service import Service
from sidecar.http.server.server import serve
from sidecar.jobs.store import JobStore
from sidecar.jobs.worker.lease import Run
from sidecar.service import service_of
from tests.support.held_provider import HeldUpstream
from tests.support.http_sidecar import Answer, Sidecar, head, post, settings_of
from tests.support.stored_jobs import run_of
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
        """Begin a run of the job, as a worker does."""
        return await run_of(self.store, job_id)

    async def held(self) -> int:
        """Return the number of jobs in the queues."""
        return sum([await self.store.redis.zcard(queue) for queue in self.store.names.queues])


@asynccontextmanager
async def opened(server: Valkey, **named: str) -> AsyncIterator[Desk]:
    """Serve the routes over `server`."""
    settings = settings_of(REDIS_URL=server.url, **named)
    upstream = HeldUpstream()
    service = service_of(settings, upstream)
    async with jobs_of(REDIS_URL=server.url, **named) as store, serve(service, settings, jobs=store) as listening:
        yield Desk(Sidecar(listening, service, upstream), store, server)


@asynccontextmanager
async def desk(**named: str) -> AsyncIterator[Desk]:
    """Serve the routes over a Valkey of their own."""
    async with valkey() as server, opened(server, **named) as routes:
        yield routes


def text(number: int = 1, **more: object) -> dict[str, object]:
    return {"action": "summarize", "content": f"Text {number} says that rivers run to the sea."} | more


def refused(answer: Answer, status: int, code: str) -> str:
    """Check a refusal; return its sentence."""
    assert (answer.status, answer.json["code"]) == (status, code), answer
    assert answer.json["success"] is False
    assert answer.headers["x-request-id"]
    sentence: str = answer.json["error"]
    assert 0 < len(sentence) <= 300
    assert not set(sentence) & set("<>&")
    return sentence


DEEP = b"[" * 200_000
JOB_ROUTES = [("POST", "/jobs"), ("POST", "/jobs/status"), ("GET", f"/jobs/{NO_ID}"), ("DELETE", f"/jobs/{NO_ID}")]
