"""The limits of several providers as one: answers for estimates, for those who wait, and for operators.

Providers whose breaker is open count for nothing while another one is up. Plain functions, free of await and I/O.
"""

from collections.abc import Callable, Sequence

from sidecar.core.errors import UpstreamFailure
from sidecar.engine.limiter.limit import Limit
from sidecar.engine.limiter.provider import Provider


class PooledBreaker:
    """The breakers of several providers as one: open where all of them are."""

    def __init__(self, providers: Sequence[Provider]) -> None:
        self._breakers = [provider.limit.breaker for provider in providers]

    @property
    def opened_by(self) -> UpstreamFailure | None:
        """The failure that opened the first provider's breaker; None while a provider is up."""
        failures = [breaker.opened_by for breaker in self._breakers]
        return failures[0] if all(failures) else None

    @property
    def state(self) -> str:
        """`closed` or `open`."""
        return "closed" if self.opened_by is None else "open"

    def refusal(self, *, idle: bool) -> UpstreamFailure | None:
        """Return the error for a new request, or None where a provider would take it; see `Breaker.refusal`."""
        refusals = [breaker.refusal(idle=idle) for breaker in self._breakers]
        return refusals[0] if all(refusals) else None


class PooledLimit:
    """Sums, means and extremes over the limits of providers that may have the same texts."""

    def __init__(self, providers: Sequence[Provider]) -> None:
        self.providers = tuple(providers)
        """The providers, by priority."""
        self.breaker = PooledBreaker(self.providers)

    @property
    def _up(self) -> list[Limit]:
        up = [provider.limit for provider in self.providers if not provider.down]
        return up or [provider.limit for provider in self.providers]

    @property
    def running(self) -> int:
        """Count the calls in flight at these providers."""
        return sum(provider.running for provider in self.providers)

    @property
    def ceiling(self) -> int:
        return sum(provider.limit.ceiling for provider in self.providers)

    @property
    def slots(self) -> int:
        return sum(limit.slots for limit in self._up)

    @property
    def found(self) -> float:
        return sum(limit.found for limit in self._up)

    @property
    def expected(self) -> float:
        return sum(limit.expected for limit in self._up)

    @property
    def fact(self) -> bool:
        """Return whether one limit is a fact; the others count with their ceilings, so that estimates stay hopeful."""
        return any(limit.fact for limit in self._up)

    @property
    def duration(self) -> float:
        """Return the seconds until an answer, weighted by the calls at once of each provider."""
        return self._weighted(lambda limit: limit.duration)

    @property
    def holding(self) -> float:
        """Return the seconds that a call holds its slot, such that `expected / holding` is the rate of all together."""
        measured = [limit for limit in self._up if limit.holding]
        rate = sum(limit.expected / limit.holding for limit in measured)
        return sum(limit.expected for limit in measured) / rate if measured else 0.0

    def _weighted(self, seconds: Callable[[Limit], float]) -> float:
        measured = [limit for limit in self._up if seconds(limit)]
        weights = sum(limit.expected for limit in measured)
        return sum(limit.expected * seconds(limit) for limit in measured) / weights if measured else 0.0

    @property
    def pause(self) -> float:
        return min(limit.pause for limit in self._up)

    @property
    def spaced(self) -> float:
        return min(limit.spaced for limit in self._up)

    @property
    def gap(self) -> float:
        """Return the seconds between two calls at all providers together; 0 while one sends unspaced."""
        gaps = [limit.gap for limit in self._up]
        return 1 / sum(1 / gap for gap in gaps) if all(gaps) else 0.0

    @property
    def refusing_for(self) -> float:
        return min(limit.refusing_for for limit in self._up)

    @property
    def refused(self) -> int:
        """Count the calls refused by all providers."""
        return sum(provider.limit.refusals.count for provider in self.providers)

    @property
    def refusal_seconds(self) -> float:
        """Return the seconds of a refusal at the provider that takes longest to refuse."""
        return max(provider.limit.refusal_time.seconds for provider in self.providers)

    def settle(self) -> None:
        """Apply what follows from time alone to each limit."""
        for provider in self.providers:
            provider.limit.settle()
