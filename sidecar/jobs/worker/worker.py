"""Worker: one consumer a lane, and the heartbeat by which other processes see the worker."""

import asyncio
import contextlib
import os
import secrets
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from sidecar.config.settings import Settings
from sidecar.core import events
from sidecar.core.errors import JobsUnavailable
from sidecar.core.jobs import Lane
from sidecar.jobs import scripts
from sidecar.jobs.health import HealthLog
from sidecar.jobs.keys import Names
from sidecar.jobs.redis import bounded, connect
from sidecar.jobs.store import RECORD_SECONDS, JobStore
from sidecar.jobs.worker.arq_consumer import Consumer
from sidecar.jobs.worker.clock import CLOCK
from sidecar.jobs.worker.handler import JobHandler

SIGN_SECONDS: Final = 2.0
"""Seconds between two heartbeats."""
ALIVE_SECONDS: Final = 10.0
"""Seconds after a heartbeat in which a worker counts as alive."""
_LAST_SECONDS: Final = 3.0
"""Seconds after the grace, for putting back what was cancelled."""


class Working:
    """Consumers of one process."""

    def __init__(self, consumers: list[Consumer], consuming: list[asyncio.Task[None]]) -> None:
        self._consumers = consumers
        self._consuming = consuming
        self.redis_up = False
        """True if Redis answered at the last heartbeat."""

    async def drain(self, grace: float) -> None:
        """Take no more jobs; jobs in progress have `grace` seconds to end and are put back then."""
        for task in self._consuming:
            task.cancel()
        await asyncio.gather(*self._consuming, return_exceptions=True)
        await asyncio.gather(*(consumer.finish(grace) for consumer in self._consumers))


@asynccontextmanager
async def working(store: JobStore, lanes: Mapping[Lane, tuple[JobHandler, int]]) -> AsyncIterator[Working]:
    """Run the jobs of `lanes`, each with its handler and number of jobs at once; the block's end puts them back."""
    consumers = [
        Consumer(store.redis, handler.work, queue=store.names.queue(lane), at_once=at_once)
        for lane, (handler, at_once) in lanes.items()
    ]
    consuming = [asyncio.create_task(consumer.consume(), name="consumer") for consumer in consumers]
    member = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
    work = Working(consumers, consuming)
    sign = asyncio.create_task(_sign(store, member, work), name="sign of life")
    for task in (*consuming, sign):
        task.add_done_callback(_faulted)
    try:
        yield work
    finally:
        sign.cancel()
        await work.drain(0)
        with contextlib.suppress(JobsUnavailable, asyncio.CancelledError):
            await sign
        with contextlib.suppress(JobsUnavailable):
            async with bounded(_LAST_SECONDS):
                await store.redis.zrem(store.names.workers, member)


def _faulted(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (exc := task.exception()) is not None:
        events.fault("internal", exc)


async def _sign(store: JobStore, member: str, work: Working) -> None:
    sign, log = store.redis.register_script(scripts.SIGN), HealthLog()
    words: list[Any] = [store.names.prefix, member, int(ALIVE_SECONDS * 1000)]
    while True:
        try:
            with contextlib.suppress(JobsUnavailable):
                async with bounded(SIGN_SECONDS):
                    own = CLOCK.ms() if CLOCK.known else 0
                    CLOCK.set(int(await sign((), [*words, own, int(RECORD_SECONDS * 1000)])))
            log.seen(await store.health.look(limit=SIGN_SECONDS))
        except JobsUnavailable:
            log.lost()
            work.redis_up = False
        except Exception as exc:  # noqa: BLE001 - the task's outermost: the worker is alive, whatever fails here
            events.fault("internal", exc)
        else:
            work.redis_up = True
        await asyncio.sleep(SIGN_SECONDS)


async def alive_here(settings: Settings) -> bool:
    """Return whether a worker of this machine is alive; raise `JobsUnavailable` where Redis fails."""
    redis, names = connect(settings), Names(settings.redis_prefix)
    try:
        async with bounded(ALIVE_SECONDS / 2):
            members: list[bytes] = (await redis.register_script(scripts.ALIVE)((), [names.prefix]))[0]
    finally:
        await redis.aclose(close_connection_pool=True)
    return any(member.decode().startswith(f"{socket.gethostname()}:") for member in members)
