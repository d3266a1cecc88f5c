"""Redis as the jobs' state machine drives it: fakeredis or a real server behind one loop, aged and read whole."""

import asyncio
import math
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from msgspec.json import decode

from sidecar.config.settings import Settings
from sidecar.core.jobs import LANES, Lane
from sidecar.jobs.keys import hold_prefix
from sidecar.jobs.store import JobStore
from sidecar.jobs.worker.arq_consumer import Consumer
from sidecar.jobs.worker.lease import Runs
from sidecar.wiring import job_store
from tests.support.http_sidecar import settings_of
from tests.support.job_records import LEASE, Keyspace, Record

STEP: Final = 5
"""Seconds: every lifetime and every pause is a multiple, so that real time, which is less, decides nothing."""
ROOM: Final = 2
ROOM_BYTES: Final = 1024
"""The least that JOB_QUEUE_BYTES takes."""
_AGE: Final = """
for _, key in ipairs(redis.call('KEYS', '*:running:*')) do
  for _, name in ipairs(redis.call('ZRANGE', key, 0, -1)) do redis.call('ZINCRBY', key, -ARGV[2], name) end
end
for _, key in ipairs(redis.call('KEYS', '*')) do
  local left = redis.call('PTTL', key)
  if left >= 0 then
    left = math.ceil(left / ARGV[1]) * ARGV[1] - ARGV[2]
    if left > 0 then redis.call('PEXPIRE', key, left) else redis.call('DEL', key) end
  end
end
"""
Result = TypeVar("Result")


class JobRedis:
    """The store, the runs and arq's consumers of both lanes over one Redis; `run` waits for a coroutine."""

    def __init__(self, open_store: Callable[[], JobStore], keep: int) -> None:
        self.keep = keep
        """Seconds of a result."""
        # Not asyncio.Runner: it sets signal handlers at every call, a fifth of a step.
        self._loop = asyncio.new_event_loop()
        self._keys: Keyspace | None = None
        self.run(self._open(open_store))

    async def _open(self, open_store: Callable[[], JobStore]) -> None:
        async def work(_: dict[Any, Any]) -> None: ...

        self.store = open_store()
        self.redis: Any = self.store.redis
        self.prefix = self.store.names.prefix
        self.runs = Runs(self.store, keep_seconds=self.keep)
        self.consumers: dict[Lane, Consumer] = {
            lane: Consumer(self.store.redis, work, queue=self.store.names.queue(lane), at_once=1) for lane in LANES
        }
        self._age = self.redis.register_script(_AGE)

    def run(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        """Wait for what changes or reads Redis."""
        self._keys = None
        return self._loop.run_until_complete(coroutine)

    @property
    def keys(self) -> Keyspace:
        """Every key without the prefix, as `JobModel.keyspace` has them; read anew after a change."""
        if self._keys is None:
            self._keys = self.read()
        return self._keys

    def close(self) -> None:
        self.run(self.store.aclose())
        self._loop.close()

    async def age(self, seconds: int) -> None:
        """Take `seconds` from what every key has left: the one way to move time that a real server knows, too."""
        await self._age((), [STEP * 1000, seconds * 1000])

    async def after(self, gen: int) -> None:
        """Return once the server's clock is past `gen`, as it is where seconds have passed."""
        while True:
            seconds, micros = await self.redis.time()
            if int(seconds) * 1000 + int(micros) // 1000 > gen:
                return

    async def hold(self, name: str) -> None:
        """Hold a job for a consumer, as arq does before it runs one."""
        await self.redis.psetex(hold_prefix() + name, LEASE * 1000, b"1")

    async def lose(self, name: str) -> None:
        """Take a job out of the queues, as a server does that comes back with an older file."""
        for queue in self.store.names.queues:
            await self.redis.zrem(queue, name)

    def read(self) -> Keyspace:
        """Read every key."""
        return self._loop.run_until_complete(self._read())

    async def _read(self) -> Keyspace:
        keys = sorted(await self.redis.keys("*"))
        pipe = self.redis.pipeline(transaction=False)
        names = [key.decode().removeprefix(self.prefix) for key in keys]
        for key, name in zip(keys, names, strict=True):
            pipe.pttl(key)
            match kind_of(name):
                case "job" | "sizes" | "ended":
                    pipe.hgetall(key)
                case "by":
                    pipe.smembers(key)
                case "arq:queue" | "running":
                    pipe.zrange(key, 0, -1, withscores=True)
                case _:
                    pipe.get(key)
        pipe.time()
        *found, (seconds, micros) = await pipe.execute()
        now = int(seconds) + int(micros) / 1e6
        return shown(
            (name, value_of(name, value, now), None if left < 0 else whole_steps(left / 1000))
            for name, left, value in zip(names, found[::2], found[1::2], strict=True)
            if not passed_over(name)
        )


def passed_over(name: str) -> bool:
    """Whether the model lacks a key: the clock, and numbers by the hour, whose names real time decides."""
    return name == "clock" or name.startswith("ended:")


def shown(found: Iterable[tuple[str, Any, int | None]]) -> Keyspace:
    """Return the keys as the model has them: without jobs at work whose lease has ended, which count for nothing."""
    return {name: (value, left) for name, value, left in found if value != {}}


def whole_steps(seconds: float) -> int:
    """Seconds that were left at the last pause: real time took less than a step since."""
    return math.ceil(seconds / STEP) * STEP


def kind_of(name: str) -> str:
    """What a key is of, by its name without the prefix."""
    return name.rpartition(":")[0] or name


def value_of(name: str, value: Any, now: float) -> Any:
    """Return what `JobModel.keyspace` has for a value; `now` is the server's time in seconds."""
    if kind_of(name) == "running":
        ends = {member.decode(): whole_steps(float(end) / 1000 - now) for member, end in dict(value).items()}
        return {member: left for member, left in ends.items() if left > 0}
    match kind_of(name):
        case "job":
            text: dict[str, Any] = {key.decode(): field.decode() for key, field in dict(value).items()}
            for key in {"done", "total", "tries", "crashes", "left"} & text.keys():
                text[key] = int(text[key])
            return Record(**text)
        case "by":
            return {member.decode() for member in value}
        case "arq:queue" | "sizes" | "ended":
            return {member.decode(): float(number) for member, number in dict(value).items()}
        case "text":
            return decode(value)["content"]
        case kind:
            return "" if kind in {"arq:in-progress", "arq:job"} else value.decode()


def machine_settings(url: str, keep: int) -> Settings:
    """Settings of few places in the queue, where results last `keep` seconds."""
    return settings_of(
        REDIS_URL=url, JOB_QUEUE_SIZE=str(ROOM), JOB_QUEUE_BYTES=str(ROOM_BYTES), JOB_RESULT_TTL=str(keep)
    )


@contextmanager
def real_redis(url: str, *, keep: int) -> Iterator[JobRedis]:
    """The state machine's Redis at `url`."""
    redis = JobRedis(lambda: job_store(machine_settings(url, keep)), keep)
    try:
        yield redis
    finally:
        redis.close()
