"""The pool: the providers behind one gate, and which of them may take a call of a reach now.

Plain functions, free of await and I/O. Without PROVIDERS_FILE the pool has one provider, and every answer is that
provider's own.
"""

import math
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final

import msgspec

from sidecar.core.ports import Upstream
from sidecar.core.reach import Reach
from sidecar.engine.limiter.limit import Limit
from sidecar.engine.limiter.pooled_limit import PooledLimit
from sidecar.engine.limiter.provider import Provider

_MOST_REACHES: Final = 1024
"""Reaches whose providers are remembered: those of TOKENS_FILE are fewer, and jobs may carry those of earlier files."""


class _Served(msgspec.Struct, frozen=True):
    """The providers of one reach, by priority and as a set, and their limits as one."""

    providers: tuple[Provider, ...]
    members: frozenset[Provider]
    limit: Limit | PooledLimit


class Pool:
    """Providers by priority; `most` bounds the calls in flight at all of them together."""

    def __init__(self, providers: Sequence[Provider], *, most: float = math.inf) -> None:
        self.most = most
        self.providers: tuple[Provider, ...] = ()
        self.only: Provider | None = None
        """The provider of a pool of one."""
        self.changed: Callable[[], None] | None = None
        """Callback after the providers were replaced."""
        self.replace(providers)

    def replace(self, providers: Sequence[Provider]) -> None:
        """Take other providers from now on; calls in flight end where they are. Each class needs a provider."""
        self.providers = tuple(sorted(providers, key=lambda provider: provider.priority))
        self.only = self.providers[0] if len(self.providers) == 1 else None
        self.limit: Limit | PooledLimit = self._view(self.providers)
        """Limit of all providers together."""
        self._found: dict[Reach, _Served] = {}
        if self.changed is not None:
            self.changed()

    def _of(self, reach: Reach) -> _Served:
        if (found := self._found.get(reach)) is None:
            if len(self._found) >= _MOST_REACHES:
                self._found.clear()
            serving = tuple(one for one in self.providers if one.serves(reach))
            limit = self.limit if serving in {(), self.providers} else self._view(serving)
            found = self._found[reach] = _Served(serving, frozenset(serving), limit)
        return found

    def limit_of(self, reach: Reach) -> Limit | PooledLimit:
        """Return the limit of the providers of this reach together; that of all where there are none."""
        return self._of(reach).limit

    def views(self, reaches: Iterable[Reach]) -> Sequence[tuple[Limit | PooledLimit, Collection[Reach]]]:
        """Return a limit for each set of providers that some of these reaches have, with those reaches."""
        views: dict[tuple[Provider, ...], set[Reach]] = {}
        for reach in reaches:
            if serving := self.serving(reach):
                views.setdefault(serving, set()).add(reach)
        return [(self.limit_of(next(iter(some))), some) for some in views.values()]

    @staticmethod
    def _view(providers: tuple[Provider, ...]) -> Limit | PooledLimit:
        return providers[0].limit if len(providers) == 1 else PooledLimit(providers)

    def serving(self, reach: Reach) -> tuple[Provider, ...]:
        """Return the providers that may have texts of this reach, by priority; none where its names are unknown now."""
        return self._of(reach).providers

    def may_use(self, reach: Reach, providers: Iterable[Provider]) -> bool:
        """Return whether one of these providers may have texts of this reach."""
        return not self._of(reach).members.isdisjoint(providers)

    def related(self, reach: Reach, other: Reach) -> bool:
        """Return whether the two reaches have a provider in common."""
        return not self._of(reach).members.isdisjoint(self._of(other).members)

    @property
    def settled(self) -> bool:
        """Return whether every limit and breaker is as at the start, with no change left to log."""
        if self.only is not None:
            return self.only.settled
        return all(provider.settled for provider in self.providers)

    def models(self, reach: Reach) -> list[str]:
        """Return the names of the models that answer texts of this reach, by priority."""
        return list(dict.fromkeys(provider.model for provider in self.serving(reach)))

    def has_room(self, reach: Reach, now: float) -> bool:
        """Return whether a provider of this reach that is up has a free slot."""
        return any(one.running < one.limit.slots and one.send_at() <= now for one in self.serving(reach))

    def share(self, reach: Reach, other: Reach) -> float:
        """Return the part of the capacity of `reach` that `other` may use too, 0 to 1."""
        own, theirs = self._of(reach).members, self._of(other).members
        if own <= theirs:
            return 1.0
        whole = sum(provider.limit.expected for provider in own)
        return sum(provider.limit.expected for provider in own & theirs) / whole

    def free(self, now: float, wanted: Iterable[Reach]) -> tuple[list[Provider], float]:
        """Return the providers that may send a call of the `wanted` reaches now, in the order in which they are tried.

        The second value is the earliest point on the clock at which another one may.
        """
        able = frozenset[Provider]().union(*(self._of(reach).members for reach in wanted))
        free: list[Provider] = []
        due = math.inf
        for provider in self.providers:
            if provider not in able:
                continue
            if (point := provider.send_at()) <= now:
                free.append(provider)
            elif point < due:
                due = point
        free.sort(key=Provider.order)
        return free, due


def alone(
    upstream: Upstream, *, concurrency: int, model: str = "", clock: Callable[[], float] = time.monotonic
) -> Pool:
    """Return a pool of one provider without a name."""
    return Pool([Provider(upstream, concurrency=concurrency, model=model, clock=clock)])
