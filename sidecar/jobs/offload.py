"""Long summaries of /ai as jobs of the day's lane, waited for here: the engine's `OffloadPort`, by way of Redis.

Redis is given so little time on this way that a request which cannot go it loses nothing by the attempt.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from sidecar.core import events
from sidecar.core.contract import Request
from sidecar.core.errors import JobsUnavailable, Overloaded, error_of
from sidecar.core.jobs import Job
from sidecar.jobs.monitor import Monitor
from sidecar.jobs.store import JobStore

LIMIT_SECONDS: Final = 0.05
"""What Redis may take for one answer; then the request runs in process."""
_BYTE_SECONDS: Final = 1 / (20 * 1024**2)
"""Beside that for each character of the text: hashing and sending a megabyte takes this process some 10 ms."""
LOOK_SECONDS: Final = 0.2
"""Between two looks at all the jobs that are waited for."""
SHY_SECONDS: Final = 1.0
"""How long nothing is enqueued after Redis was too slow; by then the monitor has had a look."""
_ENQUEUED_AT_ONCE: Final = 8
"""The time that Redis has begins with a text's turn: else a burst of texts would take it from each other."""
_AT_ONCE: Final = 100
"""Jobs of one look: the answers of more would take this process longer than Redis may take."""
LOST_SECONDS: Final = 2.0
"""How long a job is waited for while Redis is silent or no worker alive: a worker may be restarted meanwhile."""


class Offload:
    """Enqueues, and waits for all that it enqueued with one task."""

    def __init__(
        self,
        store: JobStore,
        monitor: Monitor,
        *,
        threshold: int,
        limit: float = LIMIT_SECONDS,
        lost: float = LOST_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._monitor = monitor
        self._threshold = threshold
        self._limit = limit
        self._lost = lost
        self._clock = clock
        self._waiting: dict[str, list[asyncio.Future[Job | None]]] = {}
        self._turns = asyncio.Semaphore(_ENQUEUED_AT_ONCE)
        self._shy_until = 0.0
        """On the clock."""
        self._now = asyncio.Event()
        """Set where a look must not wait."""
        self._well_at = 0.0
        """When Redis and a worker were last there, on the clock."""

    def takes(self, request: Request) -> bool:
        """Whether it is a long summary, and there is somebody to do it."""
        if request.action != "summarize" or len(request.content) <= self._threshold:
            return False
        return self._monitor.alive and self._clock() >= self._shy_until

    async def text(self, request: Request, begun: Callable[[str], None]) -> str | None:
        """The job's answer, None where Redis, the workers or the job are gone; raises what failed the job.

        Who stops waiting cancels nothing. A caller out of time will ask again and must find the result; and a job
        may be others' too, whom an anonymous caller cannot be told from.
        """
        entered = await self._enqueued(request)
        if entered is None:
            return None
        begun(entered.job_id)
        job = await self._ended(entered)
        if job is None or job.status == "cancelled":
            events.info("offload_lost", job=entered.job_id, status="unknown" if job is None else job.status)
            return None
        if job.status == "failed":
            raise error_of(job.code, job.error)
        return job.data

    async def _enqueued(self, request: Request) -> Job | None:
        limit = self._limit + len(request.content) * _BYTE_SECONDS
        try:
            async with self._turns:
                if self._clock() < self._shy_until:
                    return None
                [job] = await self._store.enqueue([request], lane="day", limit=limit)
        except (JobsUnavailable, Overloaded) as exc:
            # It may have been enqueued all the same. Then it is paid for twice, which is the price of a prompt answer;
            # to cancel it could cancel the night's.
            if isinstance(exc, JobsUnavailable):
                self._shy_until = self._clock() + SHY_SECONDS
            events.info("not_offloaded", reason=str(exc))
            return None
        return job

    async def _ended(self, job: Job) -> Job | None:
        future: asyncio.Future[Job | None] = asyncio.get_running_loop().create_future()
        if not self._waiting:
            self._well_at = self._clock()
        self._waiting.setdefault(job.job_id, []).append(future)
        if job.ended or len(self._waiting) == 1:
            self._now.set()
        try:
            return await future
        finally:
            # Its look may have taken it out.
            if (waiters := self._waiting.get(job.job_id)) is not None and future in waiters:
                waiters.remove(future)
                if not waiters:
                    del self._waiting[job.job_id]

    async def look_on(self) -> None:
        """Look at what is waited for, until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS if self._waiting else None):
                    await self._now.wait()
            self._now.clear()
            if await self._look() and self._monitor.alive:
                self._well_at = self._clock()
            elif self._clock() - self._well_at > self._lost:
                for job_id in list(self._waiting):
                    self._settle(job_id, None)

    async def _look(self) -> bool:
        """Whether Redis told of all of them."""
        ids = list(self._waiting)
        for place in range(0, len(ids), _AT_ONCE):
            some = ids[place : place + _AT_ONCE]
            try:
                jobs = await self._store.look(some, limit=self._limit)
            except JobsUnavailable:
                return False
            for job_id, job in zip(some, jobs, strict=True):
                if job is None or job.ended:
                    self._settle(job_id, job)
        return True

    def _settle(self, job_id: str, job: Job | None) -> None:
        for future in self._waiting.pop(job_id, ()):
            if not future.done():
                future.set_result(job)


@asynccontextmanager
async def looking_on(offload: Offload) -> AsyncIterator[Offload]:
    """The task behind `offload`, while the block lasts."""
    task = asyncio.create_task(_outermost(offload), name="offload")
    try:
        yield offload
    finally:
        task.cancel()
        await asyncio.wait((task,))


async def _outermost(offload: Offload) -> None:
    while True:
        try:
            await offload.look_on()
        except Exception as exc:  # noqa: BLE001 - the task's outermost: who waits must not wait for a dead task
            events.fault("internal", exc)
            await asyncio.sleep(LOOK_SECONDS)
