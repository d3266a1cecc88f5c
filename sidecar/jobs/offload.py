"""Offload: long summaries of /ai become jobs of the lane `day`. This is the engine's `OffloadPort` over Redis.

Redis has so little time here that a request which falls back to this process loses nothing by the attempt.
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
"""Seconds that Redis may take for one answer; after that the request runs in this process."""
_BYTE_SECONDS: Final = 1 / (20 * 1024**2)
"""Seconds more for each character of the text: hashing and sending a megabyte takes this process some 10 ms."""
LOOK_SECONDS: Final = 0.2
"""Seconds between two looks at the jobs that callers wait for."""
SHY_SECONDS: Final = 1.0
"""Seconds without offload after Redis was too slow; the monitor looks within them."""
_ENQUEUED_AT_ONCE: Final = 8
"""Most texts sent at once. A text's limit of time begins with its turn, so that a burst leaves each text its time."""
_AT_ONCE: Final = 100
"""Jobs of one look: decoding more answers takes this process longer than `LIMIT_SECONDS`."""
LOST_SECONDS: Final = 2.0
"""Seconds that a caller waits while Redis is silent or no worker is alive: a worker may be restarting."""


class Offload:
    """Enqueue long summaries, and wait for all of them with one task."""

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
        """Point on the clock until which nothing is enqueued."""
        self._now = asyncio.Event()
        """Set where the next look is due at once."""
        self._well_at = 0.0
        """Point on the clock at which Redis and a worker were last seen."""

    def takes(self, request: Request) -> bool:
        """Return True if `request` is a long summary, and a worker would take it."""
        if request.action != "summarize" or len(request.content) <= self._threshold:
            return False
        return self._monitor.takes_jobs and self._clock() >= self._shy_until

    async def text(self, request: Request, begun: Callable[[str], None]) -> str | None:
        """Return the job's answer, None where Redis, the workers or the job are gone; raise the error of a failed job.

        The job goes on when a caller stops waiting. A caller out of time will come again and must find the result;
        and the job may belong to other callers too.
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
            # The job may have been enqueued all the same. Then the text is paid for twice, the price of a prompt
            # answer: cancelling could cancel the same job of the lane `night`.
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
            # `_settle` may have removed the job already.
            if (waiters := self._waiting.get(job.job_id)) is not None and future in waiters:
                waiters.remove(future)
                if not waiters:
                    del self._waiting[job.job_id]

    async def look_on(self) -> None:
        """Look at the jobs that callers wait for, until cancelled."""
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
        """Settle the jobs that ended; return whether Redis answered for all."""
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
    """Run the task behind `offload` while the block lasts."""
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
        except Exception as exc:  # noqa: BLE001 - the task's outermost: a caller must not wait for a dead task
            events.fault("internal", exc)
            await asyncio.sleep(LOOK_SECONDS)
