"""Promises of the look at Redis and its workers: what is known, what is logged, and how often."""

import logging
from typing import Any

import pytest

from sidecar.jobs import scripts
from sidecar.jobs.monitor import Monitor
from sidecar.jobs.store import JobStore
from tests.support.http_sidecar import head, post, running
from tests.support.valkey import Valkey, valkey
from tests.support.workers import jobs_of, lecture


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The names of the events since the last question."""
    names = [record.msg for record in caplog.records if record.name == "sidecar"]
    caplog.clear()
    return names


async def hire(store: JobStore) -> None:
    """A worker's sign of life."""
    redis: Any = store.redis
    await redis.zadd(store.names.workers, {"someone": 2**52})


async def test_it_knows_who_is_there_and_logs_changes_once(caplog: pytest.LogCaptureFixture) -> None:
    """No worker, a worker, no Redis, and both again; a look that finds the same says nothing."""
    caplog.set_level(logging.INFO, "sidecar")
    async with valkey() as server, jobs_of(REDIS_URL=server.url) as store:
        monitor = Monitor(store)
        assert not monitor.alive
        assert monitor.status().redis == "down"
        for _ in range(3):
            await monitor.look()
        assert (told(caplog), monitor.alive) == (["workers_gone"], False)
        await hire(store)
        await store.enqueue([lecture(1), lecture(2)])
        await store.enqueue([lecture(3)], lane="day")
        for _ in range(3):
            await monitor.look()
        assert (told(caplog), monitor.alive) == (["workers_alive"], True)
        status = monitor.status()
        assert (status.redis, status.reason, status.workers, status.held) == ("up", "", 1, {"day": 1, "night": 2})
        await server.stop()
        for _ in range(3):
            await monitor.look()
        assert (told(caplog), monitor.alive) == (["redis_away"], False)
        assert (monitor.status().redis, monitor.status().workers) == ("down", 0)
        assert "Redis" in monitor.status().reason
        await server.start()
        for _ in range(3):
            await monitor.look()
        assert (told(caplog), monitor.alive) == (["redis_back", "workers_alive"], True)


async def test_a_redis_that_throws_away_is_warned_of_once_a_connection(caplog: pytest.LogCaptureFixture) -> None:
    """At the start, and again when it comes back still as it was."""
    caplog.set_level(logging.WARNING, "sidecar")
    async with valkey("--maxmemory-policy", "allkeys-lru") as server, jobs_of(REDIS_URL=server.url) as store:
        monitor = Monitor(store)
        for _ in range(3):
            await monitor.look()
        assert told(caplog) == ["redis_policy", "workers_gone"]
        await server.stop()
        await monitor.look()
        await server.start()
        for _ in range(3):
            await monitor.look()
        assert told(caplog) == ["redis_away", "redis_policy", "workers_gone"]


async def test_a_redis_whose_crash_loses_jobs_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    """Without an append-only file: once a connection in the log, and in /status for as long as that is so."""
    caplog.set_level(logging.WARNING, "sidecar")
    async with valkey("--appendonly", "no") as server, jobs_of(REDIS_URL=server.url) as store, server.client() as admin:
        monitor = Monitor(store)
        for _ in range(3):
            await monitor.look()
        assert told(caplog) == ["redis_persistence", "workers_gone"]
        await admin.config_set("maxmemory-policy", "allkeys-lru")
        await monitor.look()
        policy, persistence = monitor.status().warnings
        assert ("noeviction" in policy, "appendonly yes" in persistence) == (True, True)
        await admin.config_set("appendonly", "yes")
        await admin.config_set("maxmemory-policy", "noeviction")
        await monitor.look()
        assert monitor.status().warnings == []


async def test_a_worker_whose_clock_is_wrong_is_alive(server: Valkey) -> None:
    """Signs of life are compared by the clock of Redis alone."""
    async with jobs_of(REDIS_URL=server.url) as store:
        sign = store.redis.register_script(scripts.SIGN)
        await sign((), [store.names.prefix, "behind", 10_000, 1, 60_000])
        assert (await store.counts()).workers == 1
        await sign((), [store.names.prefix, "ahead", 10_000, 2**43, 60_000])
        assert (await store.counts()).workers == 2


async def test_a_redis_that_is_away_from_the_start_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """Its return is told, though nobody saw it before."""
    caplog.set_level(logging.INFO, "sidecar")
    async with valkey() as server, jobs_of(REDIS_URL=server.url) as store:
        await server.stop()
        monitor = Monitor(store)
        for _ in range(3):
            await monitor.look()
        assert told(caplog) == ["redis_away"]
        await server.start()
        await monitor.look()
        assert told(caplog) == ["redis_back", "workers_gone"]


async def test_status_without_redis_says_nothing_of_jobs() -> None:
    """The key is there with REDIS_URL only."""
    async with running() as sidecar:
        assert "jobs" not in (await sidecar.fetch(head(path="/status", method="GET"))).json
        assert (await sidecar.fetch(post())).json["success"]


async def test_a_redis_of_its_own_that_is_still_starting_is_no_news(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seconds later it is: what is not there by then does not come by itself."""
    caplog.set_level(logging.INFO, "sidecar")
    async with valkey() as server, jobs_of(REDIS_URL=server.url) as store:
        await server.stop()
        monitor = Monitor(store, starting=True)
        await monitor.look()
        assert (told(caplog), monitor.status().redis) == ([], "down")
        monkeypatch.setattr(monitor, "_quiet_until", 0.0)
        await monitor.look()
        assert told(caplog) == ["redis_away"]
