"""Counters of limits in Redis, shared by all sidecars of a site: the engine's port `Store`.

A client of its own: a storm of jobs takes no connection away from requests that are to be counted.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from redis.commands.core import AsyncScript
from redis.exceptions import NoScriptError, RedisError

from sidecar.config.settings import Settings
from sidecar.core.quotas import FIELDS, Away, Refusal, Scope
from sidecar.engine.quotas.ports import Count
from sidecar.engine.quotas.shared import LEASE_SECONDS
from sidecar.jobs import scripts
from sidecar.jobs.redis import Redis, connect
from sidecar.jobs.redis_errors import explain

_LEASE_MS: Final = round(LEASE_SECONDS * 1000)
_DAY_SECONDS: Final = 2 * 86_400
"""Life of a day's number after its last change."""

_Words = tuple[list[str], list[Any]]
"""KEYS and ARGV of a script."""


class SharedCounters:
    """Counters under REDIS_PREFIX. Every method raises `Away`, with the cause; the caller bounds the time."""

    def __init__(self, settings: Settings, *, redis: Redis | None = None) -> None:
        self.redis = redis or connect(settings)
        self._prefix = f"{settings.redis_prefix}limit:"
        self._count = self.redis.register_script(scripts.COUNT)
        self._renew = self.redis.register_script(scripts.RENEW_RUNNING)

    async def exchange(self, ended: Mapping[str, Sequence[str]], counts: Sequence[Count]) -> list[Refusal | None]:
        """Forget requests that ended, then count each request, or return the limit that refuses it longest."""
        calls = [(self._renew, self._renewal(ended, 0))] if ended else []
        calls += [(self._count, self._words(count)) for count in counts]
        async with _explained():
            replies = await self._run(calls)
        found = zip(counts, replies[len(calls) - len(counts) :], strict=True)
        return [_refusal(count.scopes, worst) for count, worst in found]

    def _words(self, count: Count) -> _Words:
        words: list[Any] = [count.ident, _LEASE_MS if count.hold else 0, count.day]
        for scope in count.scopes:
            quota = scope.quota
            at_once = quota.at_once if count.hold else 0
            words += (quota.requests_per_minute, at_once, quota.tokens_per_day, scope.counted)
        return [self._prefix + scope.name for scope in count.scopes], words

    def _renewal(self, requests: Mapping[str, Sequence[str]], lease: int) -> _Words:
        pairs = [(self._prefix + name, ident) for ident, names in requests.items() for name in names]
        return [key for key, _ in pairs], [lease, *(ident for _, ident in pairs)]

    async def _run(self, calls: Sequence[tuple[AsyncScript, _Words]]) -> list[Any]:
        """Run scripts in one round trip; a server that was restarted needs to be sent them again."""
        for _ in range(2):
            pipe = self.redis.pipeline(transaction=False)
            for script, (keys, words) in calls:
                pipe.evalsha(script.sha, len(keys), *keys, *words)
            replies = await pipe.execute(raise_on_error=False)
            failed = [reply for reply in replies if isinstance(reply, Exception)]
            if not any(isinstance(reply, NoScriptError) for reply in failed):
                break
            await self._send_scripts()
        if failed:
            raise failed[0]
        return list(replies)

    async def _send_scripts(self) -> None:
        for script in (self._count, self._renew):
            await self.redis.script_load(script.script)

    async def renew(self, running: Mapping[str, Sequence[str]]) -> None:
        """Hold on to requests under way."""
        async with _explained():
            await self._run([(self._renew, self._renewal(running, _LEASE_MS))])

    async def load(self, day: str) -> Mapping[str, int]:  # noqa: ARG002 - the port's signature
        """Open a connection and send the scripts. Return nothing: `exchange` looks at the day's numbers itself."""
        async with _explained():
            await self._send_scripts()
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


def _refusal(scopes: Sequence[Scope], worst: Any) -> Refusal | None:
    if not worst:
        return None
    index, field, wait = map(int, worst)
    return Refusal(scopes[index - 1], FIELDS[field - 1], wait / 1000)


@asynccontextmanager
async def _explained() -> AsyncIterator[None]:
    try:
        yield
    # uvloop raises RuntimeError for a connection that was reset between two writes.
    except (RedisError, OSError, RuntimeError) as exc:
        raise Away(explain(exc)) from exc
