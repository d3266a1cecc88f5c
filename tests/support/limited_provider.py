"""Calls under way at a limit, on a clock that the test moves. No promises here."""

from sidecar.core.errors import RateLimited
from sidecar.engine.limiter.grant import Grant
from sidecar.engine.limiter.limit import Limit
from tests.support.clocks import Clock


class Provider:
    """Calls under way at a limit, on a clock that the test moves."""

    def __init__(self, ceiling: int = 64) -> None:
        self.clock = Clock()
        self.limit = Limit(ceiling=ceiling, clock=self.clock)
        self.calls: list[Grant] = []

    def send(self, calls: int = 1) -> None:
        for _ in range(calls):
            self.calls.append(self.limit.grant(len(self.calls)))

    def refuse(self, calls: int = 1, *, retry_after: float | None = None) -> None:
        """Refuse the calls sent last."""
        for _ in range(calls):
            grant = self.calls.pop()
            failure = RateLimited(scope="capacity", retry_after=retry_after)
            self.limit.failed(grant, failure, running=len(self.calls))

    def answer(self, calls: int = 1) -> None:
        for _ in range(calls):
            grant = self.calls.pop(0)
            self.limit.succeeded(grant, running=len(self.calls))

    def burst_at_a_queue(self) -> None:
        """Send forty calls to a server with one slot of 2 s: twelve are answered, the others end at 25 s."""
        self.send(40)
        for _ in range(12):
            self.clock.now += 2.0
            self.answer()
        self.clock.now += 1.0
        for _ in range(28):
            self.limit.timed_out(self.calls.pop())

    def room(self) -> float:
        """Return the seconds until the next call may be sent."""
        return self.limit.send_at(len(self.calls)) - self.clock.now

    def probe(self) -> None:
        """Wait until the limit lets one more call out, and send it."""
        self.clock.now += max(0.0, self.room())
        self.send()
        assert self.calls[-1].probe


def fallen(slots: int = 16) -> Provider:
    """Return a provider of which `slots` slots are known, all in use by calls of a second."""
    provider = Provider()
    provider.send(slots)
    provider.clock.now += 1.0
    provider.answer(slots)
    provider.send(64)
    provider.clock.now += 0.002
    provider.refuse(64 - slots)
    return provider
