"""What the demo upstream holds over time: calls at once, requests a minute, tokens a minute.

Plain state changes without await, so that nothing can come between looking and taking. The clock is handed in.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable
from typing import Literal

Which = Literal["requests", "tokens"]


class Slots:
    """Calls at work at once; whoever takes a slot gives it back exactly once.

    A limit of 0 is none. One call may come with a limit of its own instead of the common one.
    """

    def __init__(self, limit: int = 0) -> None:
        self.limit = limit
        self.in_use = 0
        self.peak = 0
        self.waiting = 0
        self._line: deque[tuple[int | None, asyncio.Future[None]]] = deque()

    def take(self, own: int | None = None) -> bool:
        """Take a slot if one is free and nobody waits for it."""
        limit = self.limit if own is None else own
        if limit and (self.in_use >= limit or self.waiting):
            return False
        self._count()
        return True

    async def wait(self, own: int | None = None) -> None:
        """Stand in line for a slot; on return it is taken."""
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.append((own, place))
        self.waiting += 1
        try:
            await place
        except asyncio.CancelledError:
            if place.cancelled():
                self.waiting -= 1
                self.wake()  # with a limit of its own it may have stood before calls that could go
            else:
                self.give()  # granted in the very moment the caller left: the next in line has it
            raise

    def give(self) -> None:
        """Give a slot back; the next in line gets it."""
        self.in_use -= 1
        self.wake()

    def wake(self) -> None:
        """Let in from the line as many as the limit allows now."""
        while self._line:
            own, place = self._line[0]
            limit = self.limit if own is None else own
            if place.done():
                self._line.popleft()
            elif not limit or self.in_use < limit:
                self._line.popleft()
                self.waiting -= 1
                self._count()
                place.set_result(None)
            else:
                return

    def _count(self) -> None:
        self.in_use += 1
        self.peak = max(self.peak, self.in_use)


class Bucket:
    """A token bucket: what was used flows off evenly, a whole limit in 60 seconds.

    OpenAI names neither the algorithm nor its burst; the headers it sends (remaining, and the time until all is
    back) are those of a bucket, so that is what this is.
    """

    def __init__(self) -> None:
        self._used = 0.0
        self._seen = 0.0

    def used(self, limit: int, now: float) -> float:
        self._used = max(0.0, min(self._used, limit) - (now - self._seen) * limit / 60)
        self._seen = now
        return self._used

    def take(self, amount: int) -> None:
        self._used += amount


class Denial:
    """Which limit a call ran into, and what it would have taken."""

    __slots__ = ("asked", "limit", "used", "wait", "which")

    def __init__(self, which: Which, limit: int, used: int, asked: int, wait: float | None) -> None:
        self.which: Which = which
        self.limit = limit
        self.used = used
        self.asked = asked
        self.wait = wait
        """Seconds until it would fit; None where it never will."""


class Rates:
    """Requests and tokens a minute; a call takes from both or from none."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._buckets: dict[Which, Bucket] = {"requests": Bucket(), "tokens": Bucket()}

    def reset(self) -> None:
        self._buckets = {"requests": Bucket(), "tokens": Bucket()}

    def take(self, *, rpm: int, tpm: int, tokens: int) -> Denial | None:
        """Take one request and `tokens` from what is left of this minute, or say what is missing."""
        now = self._clock()
        wanted: list[tuple[Which, int, int]] = []
        if rpm:
            wanted.append(("requests", rpm, 1))
        if tpm:
            wanted.append(("tokens", tpm, tokens))
        for which, limit, amount in wanted:
            used = self._buckets[which].used(limit, now)
            missing = used + amount - limit
            if missing > 1e-9:
                wait = None if amount > limit else missing * 60 / limit
                return Denial(which, limit, math.ceil(used), amount, wait)
        for which, _, amount in wanted:
            self._buckets[which].take(amount)
        return None

    def headers(self, *, rpm: int, tpm: int) -> dict[str, str]:
        """The `x-ratelimit-*` headers of every answer while a limit is on.

        Source: OpenAI's guide to rate limits, "Rate limits in headers".
        """
        now = self._clock()
        found: dict[str, str] = {}
        limits: tuple[tuple[Which, int], ...] = (("requests", rpm), ("tokens", tpm))
        for which, limit in limits:
            if limit:
                used = self._buckets[which].used(limit, now)
                found[f"x-ratelimit-limit-{which}"] = str(limit)
                found[f"x-ratelimit-remaining-{which}"] = str(max(0, math.floor(limit - used + 1e-9)))
                found[f"x-ratelimit-reset-{which}"] = span(used * 60 / limit)
        return found


def span(seconds: float) -> str:
    """Seconds the way OpenAI's headers write them: `840ms`, `1.2s`, `6m0s`."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    if seconds < 60:
        return f"{math.ceil(seconds * 1000) / 1000:g}s"
    minutes, rest = divmod(math.ceil(seconds), 60)
    return f"{minutes}m{rest}s"
