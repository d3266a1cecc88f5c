"""Fakeredis as the jobs' state machine drives it: read past the commands, which is most of a step's time."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from arq.connections import ArqRedis
from fakeredis import FakeServer
from fakeredis.aioredis import FakeAsyncRedisConnection
from msgspec.json import decode, encode
from redis.asyncio import ConnectionPool

from sidecar.jobs.store import JobStore
from sidecar.providers import keys_of
from tests.support.job_records import Keyspace
from tests.support.job_redis import JobRedis, kind_of, machine_settings, passed_over, shown, value_of, whole_steps


class FakeJobRedis(JobRedis):
    """Redis inside this process."""

    def __init__(self, keep: int) -> None:
        self.server = FakeServer(server_type="valkey")

        def open_store() -> JobStore:
            settings = machine_settings("redis://fake", keep)
            pool: Any = ConnectionPool(
                connection_class=FakeAsyncRedisConnection, server=self.server, server_type="valkey"
            )
            redis = ArqRedis(pool, job_serializer=encode, job_deserializer=decode)
            return JobStore(settings, keys_of(settings), redis=redis)

        super().__init__(open_store, keep)

    async def age(self, seconds: int) -> None:
        """Do what the script for a real server does, past the commands."""
        database = self.server.dbs[0]
        for key, item in list(database.items()):
            if b":running:" in key:
                for name, end in list(item.value.items()):
                    item.value.add(name, end - 1000 * seconds)
            if item.expireat is None:
                continue
            left = whole_steps(item.expireat - database.time) - seconds
            if left > 0:
                item.expireat = database.time + left
                database.schedule_expiry(key, item.expireat)
            else:
                del database[key]

    def read(self) -> Keyspace:
        """Read every key from the fake's own dictionary."""
        database = self.server.dbs[0]
        found: list[tuple[str, Any, int | None]] = []
        for key, item in database.items():
            name = key.decode().removeprefix(self.prefix)
            value = item.value
            if passed_over(name):
                continue
            if kind_of(name) in {"job", "sizes", "arq:queue", "running", "ended"}:
                # Sorted sets and hashes of the fake: both list pairs.
                value = list(value.items())
            left = None if item.expireat is None else whole_steps(item.expireat - database.time)
            found.append((name, value_of(name, value, time.time()), left))
        return shown(found)


@contextmanager
def fake_redis(*, keep: int) -> Iterator[FakeJobRedis]:
    """The state machine's Redis inside this process; results last `keep` seconds."""
    redis = FakeJobRedis(keep)
    try:
        yield redis
    finally:
        redis.close()
