"""One provider as the gate sees it: its port, its limit with breaker, and the classes of texts that it may have."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from sidecar.core.errors import ModelUnknown, UpstreamAuth, UpstreamFailure
from sidecar.core.ports import TRAFFIC, Traffic, Upstream
from sidecar.core.reach import Reach
from sidecar.engine.limiter.limit import Limit
from sidecar.engine.limiter.limit_events import LimitEvents

ALL: Final[frozenset[Traffic]] = frozenset(TRAFFIC)


class Provider:
    """A provider with its calls in flight."""

    __slots__ = ("_emptied", "events", "limit", "model", "name", "priority", "running", "traffic", "upstream")

    def __init__(
        self,
        upstream: Upstream,
        *,
        concurrency: int,
        name: str = "",
        model: str = "",
        traffic: frozenset[Traffic] = ALL,
        priority: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.upstream = upstream
        self.name = name
        """The provider's name; blank for the only one of a process without PROVIDERS_FILE."""
        self.model = model
        self.traffic = traffic
        """Classes of texts that the provider may have."""
        self.priority = priority
        """Rank among the providers: a call goes to the lowest number that has room."""
        self.limit = Limit(ceiling=concurrency, clock=clock)
        self.events = LimitEvents(self.limit, provider=name)
        self.running = 0
        """Calls that hold a slot here now."""
        self._emptied: asyncio.Event | None = None

    def __repr__(self) -> str:
        return f"<Provider {self.name} {self.running}, {self.limit!r}>"

    def serves(self, reach: Reach) -> bool:
        """Return whether the provider may have texts of this reach."""
        return reach.traffic in self.traffic and (reach.names is None or self.name in reach.names)

    @property
    def down(self) -> bool:
        """Return whether the breaker is open."""
        return self.limit.breaker.opened_by is not None

    @property
    def settled(self) -> bool:
        """Return whether limit and breaker are as at the start, and no change is left to log."""
        limit = self.limit
        return limit.unset and not self.down and self.events.logged == limit.found and not self.events.down

    def send_at(self) -> float:
        """Return the point on the clock from which a call may be sent here while other providers may take it.

        Without another provider admission holds calls back until the breaker's probe is due; here the gate has to.
        """
        point, breaker = self.limit.send_at(self.running), self.limit.breaker
        return point if breaker.opened_by is None else max(point, breaker.probe_at)

    def order(self) -> tuple[int, bool, float]:
        """Return the key by which providers with room are tried: priority, then those up, then the most free room."""
        return self.priority, self.down, self.running - self.limit.slots

    def left(self) -> None:
        """Record that a call has given its slot back."""
        self.running -= 1
        if not self.running and self._emptied is not None:
            self._emptied.set()

    async def emptied(self) -> None:
        """Return once no call is in flight here."""
        while self.running:
            self._emptied = asyncio.Event()
            await self._emptied.wait()


class Passed:
    """Providers that one call passes over, as they refused the call or could not be reached."""

    __slots__ = ("failed", "full")

    def __init__(self) -> None:
        self.full: set[Provider] = set()
        """Providers without capacity: they get the call again where no other one has room."""
        self.failed: set[Provider] = set()
        """Providers that cannot be reached, or that refused the key, the account or the model."""

    def add(self, provider: Provider, failure: UpstreamFailure) -> None:
        """Record a failed attempt."""
        if failure.scope == "capacity":
            self.full.add(provider)
        elif never_worked_on(failure):
            self.failed.add(provider)

    def choice(self, free: list[Provider], reach: Reach) -> Provider | None:
        """Return the first of the `free` providers for this call, None where the call passes over all of them."""
        fitting = [provider for provider in free if provider.serves(reach) and provider not in self.failed]
        return next((provider for provider in fitting if provider not in self.full), fitting[0] if fitting else None)


def never_worked_on(failure: UpstreamFailure) -> bool:
    """Return whether the provider did no work for the call, so that another provider may have it."""
    return (
        failure.unsent or failure.scope in {"capacity", "account"} or isinstance(failure, UpstreamAuth | ModelUnknown)
    )
