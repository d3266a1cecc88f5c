"""The pool: the providers behind one gate, and which of them may take a call of a class now.

Plain functions, free of await and I/O. Without PROVIDERS_FILE the pool has one provider, and every answer is that
provider's own.
"""

import math
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from sidecar.core.ports import TRAFFIC, Traffic, Upstream
from sidecar.engine.limiter.limit import Limit
from sidecar.engine.limiter.pooled_limit import PooledLimit
from sidecar.engine.limiter.provider import Provider


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
        self._serving = {name: tuple(one for one in self.providers if name in one.traffic) for name in TRAFFIC}
        self.limit: Limit | PooledLimit = self._view(self.providers)
        """Limit of all providers together."""
        self.limits: Mapping[Traffic, Limit | PooledLimit] = self._views()
        """Limit by class; classes with the same providers share one."""
        if self.changed is not None:
            self.changed()

    def _views(self) -> Mapping[Traffic, Limit | PooledLimit]:
        views: dict[tuple[Provider, ...], Limit | PooledLimit] = {self.providers: self.limit}
        found: dict[Traffic, Limit | PooledLimit] = {}
        for traffic in TRAFFIC:
            serving = self.serving(traffic)
            found[traffic] = views.setdefault(serving, self._view(serving))
        return found

    def views(self) -> Sequence[tuple[Limit | PooledLimit, Collection[Traffic]]]:
        """Return each limit with the classes that have it."""
        views = {id(limit): limit for limit in self.limits.values()}
        return [(limit, [name for name in TRAFFIC if self.limits[name] is limit]) for limit in views.values()]

    @staticmethod
    def _view(providers: tuple[Provider, ...]) -> Limit | PooledLimit:
        return providers[0].limit if len(providers) == 1 else PooledLimit(providers)

    def serving(self, traffic: Traffic) -> tuple[Provider, ...]:
        """Return the providers that may have texts of this class, by priority."""
        return self._serving[traffic]

    @property
    def settled(self) -> bool:
        """Return whether every limit and breaker is as at the start, with no change left to log."""
        if self.only is not None:
            return self.only.settled
        return all(provider.settled for provider in self.providers)

    def models(self, traffic: Traffic) -> list[str]:
        """Return the names of the models that answer texts of this class, by priority."""
        return list(dict.fromkeys(provider.model for provider in self.serving(traffic)))

    def running(self, traffic: Traffic) -> int:
        """Count the calls in flight at the providers of this class."""
        if self.only is not None:
            return self.only.running
        return sum(provider.running for provider in self.serving(traffic))

    def sharing(self, traffic: Traffic) -> Collection[Traffic]:
        """Return the classes that have a provider in common with this one."""
        serving = self.serving(traffic)
        return {other for other in TRAFFIC for provider in serving if other in provider.traffic}

    def free(self, now: float, wanted: Iterable[Traffic]) -> tuple[list[Provider], float]:
        """Return the providers that may send a call of the `wanted` classes now, in the order in which they are tried.

        The second value is the earliest point on the clock at which another one may.
        """
        classes, due = set(wanted), math.inf
        free: list[Provider] = []
        for provider in self.providers:
            if classes.isdisjoint(provider.traffic):
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
