"""Monitor of Redis and the workers: one look a second, so that no request has to wait for Redis.

The readers decide what a look means: the offload, and /status.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from sidecar.core import events
from sidecar.core.errors import JobsUnavailable
from sidecar.core.jobs import Lane
from sidecar.jobs.health import Health, HealthLog
from sidecar.jobs.overview import NOTHING, OVERVIEW_SECONDS, End, Parts, Progress
from sidecar.jobs.store import Counts, JobStore

LOOK_SECONDS: Final = 1.0
"""Seconds between two looks, and the most that one look may take."""
START_SECONDS: Final = 3.0
"""Seconds in which a Valkey that was just started may stay silent before the log calls Redis away."""


class JobsStatus(msgspec.Struct, frozen=True):
    """The key `jobs` of GET /status; docs/operations.md explains it."""

    redis: str
    """`up` or `down`."""
    reason: str
    """Cause why no new job is taken; blank where jobs are taken."""
    workers: int
    """Number of workers alive."""
    held: dict[Lane, int]
    """Jobs queued or in progress, by lane."""
    held_bytes: int = 0
    """Bytes of their texts."""
    warnings: list[str] = []
    """Settings of Redis that can lose jobs some day, a sentence each."""
    running: dict[Lane, int] = {}
    """Jobs in progress, by lane; the others of `held` are queued."""
    day: dict[Lane, dict[End, int]] = {}
    """Jobs that ended in the last 24 hours, by lane and state."""
    ended: dict[Lane, dict[End, int]] = {}
    """Jobs that ended since these are counted, by lane and state."""
    parts: dict[Lane, Parts] = {}
    """Provider calls of the jobs in progress, by lane."""
    progress: list[Progress] = []
    """Single jobs in progress; where they are many, those with the most calls."""


class Monitor:
    """Result of the last look at `store`. `starting`: Redis may still be starting."""

    def __init__(self, store: JobStore, *, starting: bool = False, limit: float = LOOK_SECONDS) -> None:
        self._store = store
        self._limit = limit
        self._quiet_until = time.monotonic() + START_SECONDS if starting else 0.0
        self._up: bool | None = None
        """None before the first look."""
        self._workers_logged: bool | None = None
        """True if the log's last line about workers says that there are some."""
        self._error = "It was not looked at yet."
        self._seen = Counts(0, {}, {}, 0)
        self.overview = NOTHING
        """The last overview."""
        self._overview_due = 0.0
        """Point on the monotonic clock of the next one."""
        self._health = Health()
        self._health_log = HealthLog()

    @property
    def _starting(self) -> bool:
        return time.monotonic() < self._quiet_until

    @property
    def alive(self) -> bool:
        """Return True if Redis answers and a worker is alive."""
        return bool(self._up and self._seen.workers)

    @property
    def takes_jobs(self) -> bool:
        """Return True if a new job would be taken and run."""
        return self.alive and not self._health.trouble

    def status(self) -> JobsStatus:
        """Return the status for operators; while Redis is down the numbers are the last ones seen."""
        reason, warnings = self._error or self._health.trouble, list(self._health.risks.values())
        seen = self._seen
        return JobsStatus(
            "up" if self._up else "down",
            reason,
            seen.workers,
            seen.held,
            held_bytes=seen.size,
            warnings=warnings,
            running=seen.running,
            day=self.overview.day,
            ended=self.overview.ended,
            parts=self.overview.parts,
            progress=self.overview.progress,
        )

    async def look(self) -> None:
        """Look at Redis now, and log what changed."""
        try:
            seen = await self._store.counts(limit=self._limit)
            health = await self._store.health.look(limit=self._limit)
            if time.monotonic() >= self._overview_due:
                self.overview = await self._store.overviews.look(limit=self._limit)
                self._overview_due = time.monotonic() + OVERVIEW_SECONDS
        except JobsUnavailable as exc:
            self.lost(str(exc))
            return
        if health.refusal and not seen.workers:
            # A heartbeat that cannot be written is no death.
            seen = msgspec.structs.replace(seen, workers=self._seen.workers)
        self._error, self._seen, self._health = "", seen, health
        if not self._up:
            if self._up is False:
                events.info("redis_back")
            self._up = True
        self._health_log.seen(health)
        if self._workers_logged is not bool(seen.workers) and (seen.workers or not self._starting):
            self._workers_logged = bool(seen.workers)
            if seen.workers:
                events.info("workers_alive", workers=seen.workers)
            else:
                events.warning("workers_gone", note="jobs wait until a worker is started")

    def lost(self, error: str) -> None:
        """Note that Redis failed with `error`, and log the change."""
        self._error = error
        self._health_log.lost()
        if self._up is None and self._starting:
            return
        if self._up is not False:
            events.warning("redis_away", reason=error)
        self._up, self._workers_logged = False, None
        self._seen = msgspec.structs.replace(self._seen, workers=0)


@asynccontextmanager
async def monitoring(
    store: JobStore, *, every: float = LOOK_SECONDS, starting: bool = False, limit: float = LOOK_SECONDS
) -> AsyncIterator[Monitor]:
    """Run a monitor that looks once in `every` seconds while the block lasts; the block begins before the first look.

    `limit` is the seconds that a look may take.
    """
    monitor = Monitor(store, starting=starting, limit=limit)
    task = asyncio.create_task(_watch(monitor, every), name="jobs monitor")
    try:
        yield monitor
    finally:
        task.cancel()
        await asyncio.wait((task,))


async def _watch(monitor: Monitor, every: float) -> None:
    while True:
        try:
            await monitor.look()
        except Exception as exc:  # noqa: BLE001 - the task's outermost: a fault of ours must not leave an old look standing
            events.fault("internal", exc)
            monitor.lost("A fault of the sidecar's own.")
        await asyncio.sleep(every)
