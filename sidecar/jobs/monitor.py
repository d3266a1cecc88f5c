"""Whether Redis answers and a worker is alive, looked at every second, so that no request has to ask.

What follows from it is decided where it is read: in the offload, and on /status.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from sidecar.core import events
from sidecar.core.errors import JobsUnavailable
from sidecar.core.jobs import Lane
from sidecar.jobs.store import JobStore

LOOK_SECONDS: Final = 1.0
"""Between two looks, and the most that one may take."""
START_SECONDS: Final = 3.0
"""What a Valkey that was started just now may take before it is said that there is none."""
SAFE: Final = "noeviction"
"""What a full Redis has to do: everything else throws jobs away (CONTRACT: nothing is lost)."""


class JobsStatus(msgspec.Struct, frozen=True):
    """The key `jobs` of GET /status; docs/operations.md explains it."""

    redis: str
    """`up` or `down`."""
    reason: str
    workers: int
    """Those that are alive."""
    held: dict[Lane, int]
    """Jobs waiting or at work, by lane."""


class Monitor:
    """What the last look at `store` found; with `starting` its Redis may not be there yet."""

    def __init__(self, store: JobStore, *, starting: bool = False, limit: float = LOOK_SECONDS) -> None:
        self._store = store
        self._limit = limit
        self._quiet_until = time.monotonic() + START_SECONDS if starting else 0.0
        self._up: bool | None = None
        """None before the first look."""
        self._told: bool | None = None
        """Whether there were workers when that was last logged."""
        self._reason = "It was not looked at yet."
        self._workers = 0
        self._held: dict[Lane, int] = {}

    @property
    def _starting(self) -> bool:
        return time.monotonic() < self._quiet_until

    @property
    def alive(self) -> bool:
        """Whether Redis answers and somebody works off what is enqueued."""
        return bool(self._up and self._workers)

    def status(self) -> JobsStatus:
        """For operators; numbers of a Redis that is down are the last ones seen."""
        return JobsStatus("up" if self._up else "down", self._reason, self._workers, self._held)

    async def look(self) -> None:
        """Look now, and log what changed."""
        try:
            workers, held = await self._store.counts(limit=self._limit)
        except JobsUnavailable as exc:
            self.lost(str(exc))
            return
        self._reason, self._workers, self._held = "", workers, held
        if not self._up:
            if self._up is False:
                events.info("redis_back")
            self._up = True
            await check_policy(self._store)
        if self._told is not bool(workers) and (workers or not self._starting):
            self._told = bool(workers)
            if workers:
                events.info("workers_alive", workers=workers)
            else:
                events.warning("workers_gone", note="jobs wait until a worker is started")

    def lost(self, reason: str) -> None:
        """Redis did not answer."""
        self._reason = reason
        if self._up is None and self._starting:
            return
        if self._up is not False:
            events.warning("redis_away", reason=reason)
        self._up, self._told, self._workers = False, None, 0


async def check_policy(store: JobStore) -> None:
    """Warn where a full Redis would lose jobs. Once a connection: who configures it may have restarted it for that."""
    with contextlib.suppress(JobsUnavailable):
        policy = await store.policy(limit=LOOK_SECONDS)
        if policy and policy != SAFE:
            note = f"a full Redis would throw jobs away; set maxmemory-policy {SAFE}"
            events.warning("redis_policy", policy=policy, note=note)


@asynccontextmanager
async def monitoring(
    store: JobStore, *, every: float = LOOK_SECONDS, starting: bool = False, limit: float = LOOK_SECONDS
) -> AsyncIterator[Monitor]:
    """A monitor that looks `every` so many seconds while the block lasts; nothing waits for its first look.

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
