"""Workers as processes, a provider that counts its paid calls, and the jobs that they share."""

import asyncio
import contextlib
import json
import re
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from aiohttp import web
from redis.exceptions import RedisError

from sidecar.core.contract import Request
from sidecar.core.errors import JobsUnavailable
from sidecar.core.jobs import Job
from sidecar.core.ports import Prompt, Purpose
from sidecar.engine.keys import Keys
from sidecar.jobs.store import JobStore
from sidecar.providers import keys_of
from sidecar.wiring import job_store
from tests.support.http_sidecar import settings_of
from tests.support.paths import ROOT
from tests.support.server_process import Logged

PATIENCE = 120.0


class WorkerProcess(Logged):
    """The real command `worker`."""

    async def kill(self) -> None:
        """Kill the worker as the kernel does when memory is short."""
        if self.process.returncode is None:
            self.process.kill()
        await self.ended()

    async def stop(self) -> int:
        """Stop the worker as an administrator does; return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return await self.ended()


@asynccontextmanager
async def worker(*words: str, **env: str) -> AsyncIterator[WorkerProcess]:
    """Run the command in an environment of `env` alone."""
    command = [sys.executable, "-m", "sidecar", "worker", "--log-format=json", *words]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env=env, stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE, limit=2**24
    )
    running = WorkerProcess(process)
    try:
        yield running
    finally:
        await running.kill()


@asynccontextmanager
async def jobs_of(**named: str) -> AsyncIterator[JobStore]:
    """Open the jobs as a capability of the server has them."""
    store = job_store(settings_of(**named))
    try:
        yield store
    finally:
        await store.aclose()


async def until(
    store: JobStore, ids: Sequence[str], done: Callable[[Sequence[Job | None]], bool], *, patience: float = PATIENCE
) -> list[Job | None]:
    """Return the jobs as soon as `done(jobs)` is true; Redis may be away meanwhile."""
    async with asyncio.timeout(patience):
        while True:
            with contextlib.suppress(JobsUnavailable):
                seen = await store.look(ids)
                if done(seen):
                    return seen
            await asyncio.sleep(0.05)


def ended(jobs: Sequence[Job | None]) -> bool:
    return all(job is not None and job.ended for job in jobs)


def lecture(number: int, sentences: int = 20) -> Request:
    """Return a request with a distinct text to summarize, marked so that its summary can be recognized."""
    text = " ".join(f"Lecture{number}x says in sentence {n} that rivers run to the sea." for n in range(sentences))
    return Request(action="summarize", content=text)


class CountingProvider:
    """A provider that counts its paid calls, and records those whose part was stored already."""

    def __init__(self) -> None:
        self.url = ""
        self.latency = 0.0
        self.open = asyncio.Event()
        """While this event is cleared, no call is answered."""
        self.open.set()
        self.calls: Counter[str] = Counter()
        """Number of calls of each prompt."""
        self.again: list[str] = []
        """Prompts that were called though their part was stored."""
        self.in_flight = 0
        self.peak = 0
        self.broken = 0
        """Number of the next calls that fail with 500."""

    async def reached(self, calls: int) -> None:
        """Return once `calls` calls are in flight."""
        async with asyncio.timeout(PATIENCE):
            while self.in_flight < calls:  # noqa: ASYNC110 - another process calls
                await asyncio.sleep(0.01)

    async def answer(self, request: web.BaseRequest, store: JobStore | None, keys: Keys) -> web.StreamResponse:
        asked = json.loads(await request.read())
        system, user = (message["content"] for message in asked["messages"])
        self.calls[user] += 1
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        try:
            if store is not None:
                await self._look(store, keys, system, user, asked["max_tokens"])
            await self.open.wait()
            await asyncio.sleep(self.latency)
        finally:
            self.in_flight -= 1
        if self.broken:
            self.broken -= 1
            return web.json_response({"error": {"message": "broken"}}, status=500)
        mark = " ".join(sorted(set(re.findall(r"Lecture\d+x", user)))) or "nothing"
        text = f"Summary of {mark}."
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        return web.json_response({"id": "x", "object": "chat.completion", "model": "m", "choices": [choice]})

    async def _look(self, store: JobStore, keys: Keys, system: str, user: str, most: int) -> None:
        for purpose in _STORED:
            prompt = Prompt(purpose=purpose, system=system, user=user, max_tokens=most)
            with contextlib.suppress(RedisError, OSError):
                if await store.redis.exists(store.names.part(keys.of_work(prompt))):
                    self.again.append(user[:80])


_STORED: tuple[Purpose, ...] = ("part", "reduction", "context")


@asynccontextmanager
async def counting_provider(**named: str) -> AsyncIterator[CountingProvider]:
    """Run the provider on a free port; with `named` settings it looks into their Redis."""
    counting = CountingProvider()
    store = job_store(settings_of(**named)) if named else None
    keys = keys_of(settings_of(**named))

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        return await counting.answer(request, store, keys)

    server = web.Server(handle)
    listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    counting.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/v1"
    try:
        yield counting
    finally:
        listener.close()
        await server.shutdown(0.1)
        if store is not None:
            await store.aclose()
