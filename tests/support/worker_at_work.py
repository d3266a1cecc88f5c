"""A worker on the test's own loop, a provider that fails from a script, and jobs for both. No promises here."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from sidecar.config.settings import Settings
from sidecar.core.contract import Request
from sidecar.core.jobs import Job, Lane
from sidecar.core.ports import Call, Completion
from sidecar.jobs.store import JobStore
from sidecar.jobs.worker.handler import JobHandler
from sidecar.jobs.worker.worker import working
from sidecar.providers import Providers
from sidecar.wiring import job_handlers
from tests.support.held_provider import HeldUpstream
from tests.support.http_sidecar import settings_of
from tests.support.workers import until

CHAT = Request(action="chat", content="Why is the sky blue, says the canary?", user_id="7")


@asynccontextmanager
async def at_work(
    store: JobStore, upstream: HeldUpstream | Callable[[Settings], HeldUpstream], **named: str
) -> AsyncIterator[Mapping[Lane, JobHandler]]:
    """Run a worker that waits for hundredths of a second where a real one waits for minutes."""
    settings = settings_of(**named)
    client = (lambda _: upstream) if isinstance(upstream, HeldUpstream) else upstream
    benches = {
        lane: (JobHandler(b.runs, b.service, timeout=settings.job_timeout, background=True, backoff=(0.01, 0.01)), size)
        for lane, (b, size) in job_handlers(settings, Providers(settings, client), store).items()
    }
    async with working(store, benches):
        yield {lane: bench for lane, (bench, _) in benches.items()}


async def one(store: JobStore, request: Request = CHAT, lane: Lane = "night") -> str:
    [job] = await store.enqueue([request], lane=lane)
    return job.job_id


async def becomes(store: JobStore, job_id: str, done: Callable[[Job], bool] = lambda job: job.ended) -> Job:
    [job] = await until(store, [job_id], lambda jobs: jobs[0] is not None and done(jobs[0]))
    assert job is not None
    return job


class Scripted(HeldUpstream):
    """A provider that fails with each of `failures` in turn, then answers."""

    def __init__(self, *failures: Exception) -> None:
        super().__init__()
        self.failures = list(failures)

    async def complete(self, call: Call, *, deadline: float) -> Completion:
        self.failure = self.failures.pop(0) if self.failures else None
        return await super().complete(call, deadline=deadline)
