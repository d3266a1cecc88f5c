"""A sidecar that offloads to jobs, its Valkey, and a worker with a provider of its own. No promises here."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from sidecar.engine.service import Service
from sidecar.http.server.server import serve
from sidecar.jobs.monitor import LOOK_SECONDS, monitoring
from sidecar.jobs.offload import Offload, looking_on
from sidecar.jobs.store import JobStore
from sidecar.jobs.worker.worker import working
from sidecar.providers import Providers
from sidecar.service import service_of
from sidecar.wiring import job_handlers
from tests.support.held_provider import HeldUpstream
from tests.support.http_sidecar import Answer, Sidecar, post, settings_of
from tests.support.valkey import Valkey, valkey
from tests.support.workers import jobs_of

PATIENCE = 60.0


async def until(there: Callable[[], bool]) -> None:
    """Return once `there()` is true."""
    async with asyncio.timeout(PATIENCE):
        while not there():  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.01)


class House:
    """A sidecar, its Valkey, and a worker; each has a provider of its own, which shows where an answer was made."""

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
        """Start the sidecar, with `limit` and `lost` of the offload."""
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
        settings = settings_of(**self.named)
        benches = job_handlers(settings, Providers(settings, lambda _: self.there), store)
        await self.worker.enter_async_context(working(store, benches))
        await self.known(alive=True)

    async def known(self, *, alive: bool) -> None:
        await until(lambda: self.monitor.alive is alive)

    async def ask(self, content: str, *headers: str, **fields: object) -> Answer:
        """Return the answer to a text to summarize."""
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
    """Open a house without a worker; Redis gets more time than in service, since test machines are slow."""
    async with valkey() as server, AsyncExitStack() as stack:
        opened = House(server, stack, named)
        await opened.open(limit=limit, lost=lost)
        yield opened


def long(number: int = 1) -> str:
    return f"Text {number} says that rivers run to the sea. " * 10
