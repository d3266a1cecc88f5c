"""Promises of jobs on machines whose clocks are wrong: Redis' own clock decides, and no clock delays a job."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from arq import worker as arq_worker

from sidecar.jobs.store import JobStore
from sidecar.jobs.worker import clock
from sidecar.jobs.worker.clock import CLOCK, RedisClock
from tests.support.held_provider import HeldUpstream
from tests.support.worker_at_work import at_work, becomes, one

HOUR: int = 3600


@pytest.fixture(autouse=True)
def _unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each test begin, and the next test go on, without the time of another Redis."""
    monkeypatch.setattr(CLOCK, "_ahead", None)


def off_by(seconds: float) -> Callable[[], float]:
    now = time.time
    return lambda: now() + seconds


@pytest.mark.parametrize("seconds", [-HOUR, HOUR], ids=["behind", "ahead"])
async def test_a_worker_whose_clock_is_wrong_starts_jobs_at_once(
    store: JobStore, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its heartbeat tells it the time of Redis, and it counts as alive."""
    monkeypatch.setattr(clock, "machine_time", off_by(seconds))
    async with at_work(store, HeldUpstream()):
        assert (await becomes(store, await one(store))).status == "complete"
        assert (await store.counts()).workers == 1
        assert abs(vars(arq_worker)["timestamp_ms"]() / 1000 - time.time()) < 60


async def test_a_clock_of_redis_that_is_set_back_delays_no_job(store: JobStore) -> None:
    """Jobs enqueued before it stay due for a worker that starts after it, and the order stays theirs."""
    redis: Any = store.redis
    ahead = int((time.time() + HOUR) * 1000)
    await redis.set(f"{store.names.prefix}clock", ahead)
    first = await one(store)
    [name] = await redis.zrange(store.names.queue("night"), 0, -1)
    assert await redis.zscore(store.names.queue("night"), name) >= ahead
    async with at_work(store, HeldUpstream()):
        assert (await becomes(store, first)).status == "complete"


def test_the_clock_never_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the machine's clock nor that of Redis takes back a time that was told."""
    one = RedisClock()
    assert not one.known
    one.set(1_000_000)
    monkeypatch.setattr(clock, "machine_time", lambda: 0.0)
    one.set(1_000)
    assert 1_000_000 <= one.ms() < 1_060_000
    one.set(9_000_000)
    assert 9_000_000 <= one.ms() < 9_060_000
