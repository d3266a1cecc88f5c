"""A worker at work: one consumer a lane, and the sign of life by which others know that it is there."""

import asyncio
import contextlib
import os
import secrets
import socket
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

from sidecar.config.settings import Settings
from sidecar.core import events
from sidecar.core.errors import JobsUnavailable
from sidecar.core.jobs import Lane
from sidecar.jobs.keys import Names
from sidecar.jobs.monitor import check_policy
from sidecar.jobs.redis import connect, spoken
from sidecar.jobs.store import JobStore
from sidecar.jobs.worker.arq_consumer import Consumer
from sidecar.jobs.worker.handler import JobHandler

SIGN_SECONDS: Final = 2.0
"""Between two signs of life."""
ALIVE_SECONDS: Final = 10.0
"""How long one holds."""
_LAST_SECONDS: Final = 3.0
"""After the grace: what was cancelled is put back."""


class Working:
    """The consumers of one process."""

    def __init__(self, consumers: list[Consumer], consuming: list[asyncio.Task[None]]) -> None:
        self._consumers = consumers
        self._consuming = consuming

    async def drain(self, grace: float) -> None:
        """Take nothing more; what was taken has `grace` seconds to end and is put back then."""
        for task in self._consuming:
            task.cancel()
        await asyncio.gather(*self._consuming, return_exceptions=True)
        await asyncio.gather(*(consumer.finish(grace) for consumer in self._consumers))


@asynccontextmanager
async def working(store: JobStore, lanes: Mapping[Lane, tuple[JobHandler, int]]) -> AsyncIterator[Working]:
    """Work off `lanes`, each at its bench, with so many jobs at once; leaving the block puts back what runs."""
    consumers = [
        Consumer(store.redis, bench.work, queue=store.names.queue(lane), at_once=at_once)
        for lane, (bench, at_once) in lanes.items()
    ]
    consuming = [asyncio.create_task(consumer.consume(), name="consumer") for consumer in consumers]
    member = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
    sign = asyncio.create_task(_sign(store, member), name="sign of life")
    work = Working(consumers, consuming)
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
            async with spoken(_LAST_SECONDS):
                await store.redis.zrem(store.names.workers, member)


def _faulted(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (exc := task.exception()) is not None:
        events.fault("internal", exc)


async def _sign(store: JobStore, member: str) -> None:
    away = True
    while True:
        try:
            async with spoken(SIGN_SECONDS):
                now = time.time_ns() // 1_000_000
                pipe = store.redis.pipeline(transaction=False)
                pipe.zadd(store.names.workers, {member: now + int(ALIVE_SECONDS * 1000)})
                pipe.zremrangebyscore(store.names.workers, "-inf", now)
                await pipe.execute()
        except JobsUnavailable:
            away = True
        except Exception as exc:  # noqa: BLE001 - the task's outermost: who works is alive, whatever fails here
            events.fault("internal", exc)
        else:
            if away:
                away = False
                await check_policy(store)
        await asyncio.sleep(SIGN_SECONDS)


async def alive_here(settings: Settings) -> bool:
    """Whether a worker of this machine has given a sign of life; raises `JobsUnavailable`."""
    redis, names = connect(settings), Names(settings.redis_prefix)
    try:
        async with spoken(ALIVE_SECONDS / 2):
            members: list[bytes] = await redis.zrangebyscore(names.workers, time.time_ns() // 1_000_000, "+inf")
    finally:
        await redis.aclose(close_connection_pool=True)
    return any(member.decode().startswith(f"{socket.gethostname()}:") for member in members)
