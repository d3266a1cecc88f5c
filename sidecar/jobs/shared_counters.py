"""Counters of limits in Redis, shared by all sidecars of a site: the engine's port `Store`.

A client of its own: a storm of jobs takes no connection away from requests that are to be counted.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from redis.exceptions import RedisError

from sidecar.config.settings import Settings
from sidecar.core.quotas import FIELDS, Away, Refusal, Scope
from sidecar.jobs import scripts
from sidecar.jobs.redis import Redis, connect
from sidecar.jobs.redis_errors import explain

_LEASE_MS: Final = 60_000
"""Life of a request under way without a renewal."""
_DAY_SECONDS: Final = 2 * 86_400
"""Life of a day's number after its last change."""


class SharedCounters:
    """Counters under REDIS_PREFIX. Every method raises `Away`, with the cause; the caller bounds the time."""

    def __init__(self, settings: Settings, *, redis: Redis | None = None) -> None:
        self.redis = redis or connect(settings)
        self._prefix = f"{settings.redis_prefix}limit:"
        self._count = self.redis.register_script(scripts.COUNT)
        self._renew = self.redis.register_script(scripts.RENEW_RUNNING)

    async def take(self, scopes: Sequence[Scope], day: str, ident: str, *, hold: bool) -> Refusal | None:
        """Count a request at all scopes, or return the limit that refuses longest."""
        words: list[Any] = [ident, _LEASE_MS if hold else 0, day]
        for scope in scopes:
            quota = scope.quota
            words += (quota.requests_per_minute, quota.at_once if hold else 0, quota.tokens_per_day, scope.counted)
        async with _explained():
            worst = await self._count([self._prefix + scope.name for scope in scopes], words)
        if not worst:
            return None
        index, field, wait = map(int, worst)
        return Refusal(scopes[index - 1], FIELDS[field - 1], wait / 1000)

    async def renew(self, running: Mapping[str, Sequence[str]]) -> None:
        """Hold on to requests under way."""
        await self._for_each(running, _LEASE_MS)

    async def end(self, ended: Mapping[str, Sequence[str]]) -> None:
        """Forget requests that ended."""
        await self._for_each(ended, 0)

    async def _for_each(self, requests: Mapping[str, Sequence[str]], lease: int) -> None:
        pairs = [(self._prefix + name, ident) for ident, names in requests.items() for name in names]
        async with _explained():
            await self._renew([key for key, _ in pairs], [lease, *(ident for _, ident in pairs)])

    async def load(self, day: str) -> Mapping[str, int]:  # noqa: ARG002 - the port's signature
        """Return nothing: `take` looks at the day's numbers itself."""
        return {}

    async def add(self, day: str, spent: Mapping[str, int]) -> Mapping[str, int]:
        """Add tokens; return the day's totals of these counters."""
        async with _explained():
            pipe = self.redis.pipeline(transaction=False)
            for name, tokens in spent.items():
                key = f"{self._prefix}{name}:spent:{day}"
                pipe.incrby(key, tokens)
                pipe.expire(key, _DAY_SECONDS)
            totals = await pipe.execute()
        return dict(zip(spent, map(int, totals[::2]), strict=True))

    async def aclose(self) -> None:
        """Close the connections."""
        await self.redis.aclose(close_connection_pool=True)


@asynccontextmanager
async def _explained() -> AsyncIterator[None]:
    try:
        yield
    # uvloop raises RuntimeError for a connection that was reset between two writes.
    except (RedisError, OSError, RuntimeError) as exc:
        raise Away(explain(exc)) from exc
