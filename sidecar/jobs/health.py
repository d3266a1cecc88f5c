"""Health of a Redis as jobs need it: whether it takes writes, its memory, what it evicts, and its file.

Room to finish stays where new jobs are refused before Redis is full: a result, a lease and a heartbeat need memory too.
"""

import time
from typing import Any, Final

import msgspec
from redis.exceptions import RedisError

from sidecar.core import events
from sidecar.core.errors import Overloaded
from sidecar.jobs.redis import Redis, bounded
from sidecar.jobs.redis_errors import explain

SHARE: Final = 0.9
"""Share of maxmemory from which on no new job is taken."""
SAFE: Final = "noeviction"
"""Policy of a full Redis that loses no job (CONTRACT: nothing is lost)."""
FULL: Final = "Redis is full: no new job is taken until its maxmemory is raised or results expire (JOB_RESULT_TTL)."
_JOB_BYTES: Final = 1024
"""Bytes of a waiting job in Redis beside its text, measured with Valkey 9."""
_FRESH_SECONDS: Final = 2.0
"""Seconds for which a look counts; the server's monitor looks every second."""
_RETRY_SECONDS: Final = 60.0


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """Health at one look. A server that hides a number (ACL) leaves the default, which is no fault."""

    used: int = 0
    """Bytes in use."""
    most: int = 0
    """`maxmemory` in bytes; 0 is no limit."""
    policy: str = ""
    appends: bool = True
    """False where no append-only file is written: a crash loses accepted jobs."""
    refusal: str = ""
    """The sentence that says why Redis takes no writes at all; blank where Redis takes them."""

    @property
    def full(self) -> bool:
        """True from `SHARE` of `maxmemory` on."""
        return not self.takes(0)

    def takes(self, size: int) -> bool:
        """Return whether `size` more bytes leave room to finish."""
        return not self.most or self.used + size < self.most * SHARE

    @property
    def trouble(self) -> str:
        """Return the sentence that says why no new job is taken; blank where jobs are taken."""
        return self.refusal or (FULL if self.full else "")

    @property
    def risks(self) -> dict[str, str]:
        """Return what can lose jobs some day: a sentence by the name of its event."""
        found = {}
        if self.policy not in {"", SAFE}:
            found["redis_policy"] = f"a full Redis would throw jobs away; set maxmemory-policy {SAFE}"
        if not self.appends:
            found["redis_persistence"] = "a crash of Redis would lose accepted jobs; set appendonly yes"
        return found


async def look(redis: Redis, prefix: str, *, limit: float) -> Health:
    """Return the health of `redis` now; raise `JobsUnavailable` where it does not answer within `limit` seconds."""
    async with bounded(limit):
        pipe = redis.pipeline(transaction=False)
        pipe.info("memory")
        pipe.info("persistence")
        # A deletion of nothing is refused exactly where every write is: a replica, or a disk that fails.
        pipe.delete(f"{prefix}nothing")
        memory, persistence, written = await pipe.execute(raise_on_error=False)
    return _health(_shown(memory), _shown(persistence), written)


def _shown(found: Any) -> dict[str, Any]:
    return found if isinstance(found, dict) else {}


def _health(memory: dict[str, Any], persistence: dict[str, Any], written: Any) -> Health:
    return Health(
        used=int(memory.get("used_memory", 0)),
        most=int(memory.get("maxmemory", 0)),
        policy=str(memory.get("maxmemory_policy", "")),
        appends=str(persistence.get("aof_enabled", 1)) != "0",
        refusal=explain(written) if isinstance(written, RedisError) else "",
    )


class HealthCheck:
    """Last look at the health of one Redis, and what this process has sent since then."""

    def __init__(self, redis: Redis, prefix: str) -> None:
        self._redis = redis
        self._prefix = prefix
        self._last = Health()
        self._until = 0.0
        """Point on the monotonic clock until which the last look counts."""
        self._sent = 0
        """Bytes sent since the last look."""
        self._earlier = 0
        """Bytes sent between the last two looks, which may not have seen them all."""

    async def look(self, *, limit: float = 1.0) -> Health:
        """Look now; raise `JobsUnavailable` where Redis fails."""
        self._last = await look(self._redis, self._prefix, limit=limit)
        # A Redis that refuses writes may be loading its file, with next to nothing in its memory yet.
        self._until = 0.0 if self._last.refusal else time.monotonic() + _FRESH_SECONDS
        self._earlier, self._sent = self._sent, 0
        return self._last

    async def reserve(self, jobs: int, size: int) -> None:
        """Count `jobs` new jobs with texts of `size` bytes; raise `Overloaded` where they leave no room to finish.

        The caller bounds the time. Only a look that is old, or that found no room, costs a call.
        """
        size += jobs * _JOB_BYTES
        if time.monotonic() >= self._until or not self._takes(size):
            await self.look(limit=_FRESH_SECONDS)
        if not self._takes(size):
            raise Overloaded(FULL, retry_after=_RETRY_SECONDS, cause="jobs")
        self._sent += size

    def _takes(self, size: int) -> bool:
        return self._last.takes(self._earlier + self._sent + size)


class HealthLog:
    """Log of one Redis' health: risks once a connection, trouble once a change."""

    def __init__(self) -> None:
        self._connected = False
        self._trouble = ""

    def lost(self) -> None:
        """Note that Redis is away: a restart may change everything."""
        self._connected = False

    def seen(self, health: Health) -> None:
        """Log what is new in `health`."""
        if not self._connected:
            self._connected = True
            for name, note in health.risks.items():
                events.warning(name, **({"policy": health.policy} if name == "redis_policy" else {}), note=note)
        if health.trouble != self._trouble:
            self._trouble = health.trouble
            if not health.trouble:
                events.info("redis_has_room")
            elif health.refusal:
                events.warning("redis_refuses", reason=health.refusal)
            else:
                events.warning("redis_full", used=health.used, maxmemory=health.most, reason=FULL)
