"""Worlds: a provider's limits and refusals as plain data, and the best result that any client could reach.

tests/support/simulated_provider.py is the provider of a world, in virtual time.
"""

import heapq
import math
import random
from typing import Any, Literal

import msgspec

Voice = Literal["openai", "nowait", "bare", "503", "529", "long", "reset", "gemini", "azure", "wrong"]


class Bucket(msgspec.Struct, frozen=True):
    """A token bucket: `rate` a second flow in, and the bucket holds at most `burst`."""

    rate: float
    burst: float


class World(msgspec.Struct, frozen=True, kw_only=True):
    """Properties of one provider and its callers; times in seconds."""

    name: str
    slots: tuple[tuple[int, float], ...] = ()
    """Pairs of calls at once and seconds, in turn; empty is no limit."""
    queue: bool = False
    """True for a provider at which calls beyond the slots wait instead of being refused."""
    requests: Bucket | None = None
    tokens: Bucket | None = None
    counts_refused: bool = False
    voice: Voice = "openai"
    hold: float = 0.5
    """Mean seconds of a call's work."""
    spread: float = 0.0
    """Spread of a call's work: uniform between (1 - spread) and (1 + spread) times the mean."""
    away: float = 0.0005
    """Seconds of one way to the provider."""
    refusing: float = 0.002
    """Seconds the provider takes to refuse."""
    callers: int = 400
    within: float = 1.0
    deadline: float = 25.0
    ceiling: int = 64
    sizes: tuple[int, ...] = (250,)
    """Tokens of the callers' texts, by turns."""
    sidecars: int = 1


class Capacity:
    """Capacity of this world's provider, as plain state."""

    def __init__(self, world: World, start: float) -> None:
        self.world = world
        self.running = 0
        self._start = start
        self._seen = start
        self._left = {name: bucket.burst for name, bucket in self._buckets()}

    def _buckets(self) -> list[tuple[str, Bucket]]:
        named = (("requests", self.world.requests), ("tokens", self.world.tokens))
        return [(name, bucket) for name, bucket in named if bucket is not None]

    def slots(self, now: float) -> float:
        """Return the calls at once that are admitted now."""
        turns = self.world.slots
        if not turns:
            return math.inf
        cycle = sum(seconds for _, seconds in turns)
        at = now - self._start
        at = at % cycle if math.isfinite(cycle) else at
        for slots, seconds in turns:
            if at < seconds:
                return slots
            at -= seconds
        return turns[-1][0]

    def refill(self, now: float) -> None:
        for name, bucket in self._buckets():
            self._left[name] = min(bucket.burst, self._left[name] + (now - self._seen) * bucket.rate)
        self._seen = now

    def missing(self, now: float, tokens: int) -> float:
        """Return the seconds until the buckets would admit a call of `tokens` tokens; 0 for now."""
        self.refill(now)
        needed = {"requests": 1.0, "tokens": float(tokens)}
        return max(((needed[name] - self._left[name]) / bucket.rate for name, bucket in self._buckets()), default=0.0)

    def full(self, now: float) -> float:
        """Return the seconds until the buckets are full again, as in reset headers."""
        self.refill(now)
        return max(((bucket.burst - self._left[name]) / bucket.rate for name, bucket in self._buckets()), default=1.0)

    def take(self, tokens: int, *, refused: bool = False) -> None:
        needed = {"requests": 1.0, "tokens": float(tokens)}
        for name, _ in self._buckets():
            self._left[name] -= min(needed[name], self._left[name]) if refused else needed[name]

    def admits(self, now: float, tokens: int) -> bool:
        return self.running < self.slots(now) and self.missing(now, tokens) <= 1e-9


class Ideal(msgspec.Struct, frozen=True):
    """Result of a client that knows at every moment the provider's free capacity."""

    answered: int
    last: float
    """Seconds from the first call to the last answer in time."""


def ideal(world: World) -> Ideal:
    """Simulate a client that sends whenever the provider admits, first come first served, if in time."""
    capacity, now, step = Capacity(world, 0.0), 0.0, 0.002
    ends: list[float] = []
    arrivals = [world.within * number / world.callers for number in range(world.callers)]
    served, at, last = 0, 0, 0.0
    rng = random.Random(1)
    while at < world.callers and now < world.deadline + world.within:
        while ends and ends[0] <= now:
            heapq.heappop(ends)
            capacity.running -= 1
        while at < world.callers and arrivals[at] <= now:
            if now + world.hold > arrivals[at] + world.deadline:
                at += 1
                continue
            size = world.sizes[at % len(world.sizes)]
            if not capacity.admits(now, size):
                break
            capacity.take(size)
            capacity.running += 1
            end = now + world.hold * rng.uniform(1 - world.spread, 1 + world.spread)
            heapq.heappush(ends, end)
            served, at, last = served + 1, at + 1, max(last, end)
        now += step
    return Ideal(served, last + 2 * world.away)


_FOREVER = math.inf


def _slots(count: int, **more: Any) -> World:
    hold = {1: 0.04, 2: 0.08, 4: 0.15, 8: 0.3}.get(count, min(2.0, 15.0 * count / 400))
    words: dict[str, Any] = {"slots": ((count, _FOREVER),), "hold": hold}
    return World(**(words | more))


def scenes() -> list[World]:
    """Return the worlds of the world test."""
    worlds = [
        _slots(count, voice=voice, name=f"{count} slots, {voice}")
        for count in (1, 2, 4, 8, 16, 32, 64)
        for voice in ("openai", "nowait", "bare", "503", "529", "long", "reset")
    ]
    worlds += [_slots(count, queue=True, name=f"{count} slots that queue") for count in (1, 2, 4, 16)]
    voices: tuple[tuple[str, Voice], ...] = (("true waits", "openai"), ("no waits", "nowait"), ("wrong waits", "wrong"))
    for a_minute, burst in ((1500, 60), (1200, 10), (600, 100), (60, 5), (3000, 1)):
        for said, voice in voices:
            name = f"bucket {a_minute}/{burst}, {said}"
            callers = {600: 300, 60: 25}.get(a_minute, 400)
            worlds.append(World(name=name, requests=Bucket(a_minute / 60, burst), voice=voice, callers=callers))
    both: list[tuple[int, Bucket]] = [(12, Bucket(25, 60)), (16, Bucket(20, 10)), (4, Bucket(10, 100))]
    worlds += [
        _slots(
            count,
            requests=bucket,
            hold=0.3,
            callers=min(400, int(bucket.burst + 20 * min(bucket.rate, count / 0.3))),
            name=f"{count} slots and a bucket of {bucket.burst:.0f} at {bucket.rate:.0f} a second",
        )
        for count, bucket in both
    ]
    worlds += [
        World(name="32 and 6 by turns", slots=((32, 3), (6, 3)), hold=0.5),
        World(name="6 and 32 by turns", slots=((6, 3), (32, 3)), hold=0.5),
        World(name="16 and 0 by turns", slots=((16, 3), (0, 3)), hold=0.25),
        World(name="16, then 2 for ever", slots=((16, 8), (2, _FOREVER)), hold=0.5, callers=300),
        World(name="32 and 6 by turns, bare", slots=((32, 3), (6, 3)), hold=0.5, voice="bare"),
        World(name="32 and 6 by turns, 20 s named", slots=((32, 3), (6, 3)), hold=0.5, voice="long"),
        _slots(16, away=0.05, name="16 slots, 50 ms away"),
        _slots(4, away=0.05, hold=0.2, callers=300, name="4 slots, 50 ms away"),
        World(name="bucket 1500/60, 50 ms away", requests=Bucket(25, 60), away=0.05),
        _slots(16, spread=0.9, name="16 slots, uneven calls"),
        _slots(4, spread=0.9, name="4 slots, uneven calls"),
        World(name="bucket 1500/60, uneven calls", requests=Bucket(25, 60), spread=0.9),
        _slots(16, hold=2.0, callers=180, name="16 slots, long calls"),
        World(name="tokens, uneven texts", tokens=Bucket(10_000, 20_000), sizes=(50, 200, 1500, 100, 300)),
        World(
            name="tokens, uneven texts, no waits",
            tokens=Bucket(10_000, 20_000),
            sizes=(50, 200, 1500, 100, 300),
            voice="nowait",
        ),
        World(name="tokens, small burst", tokens=Bucket(9_000, 3_000), sizes=(50, 200, 1500, 100, 300)),
        World(name="refusals count, 1500/60", requests=Bucket(25, 60), counts_refused=True),
        World(name="refusals count, 1200/10", requests=Bucket(20, 10), counts_refused=True, callers=360),
        _slots(16, sidecars=3, name="three sidecars, 16 slots"),
        _slots(12, sidecars=3, hold=0.4, voice="bare", name="three sidecars, 12 slots, bare"),
        World(name="three sidecars, bucket 1500/60", requests=Bucket(25, 60), sidecars=3),
        World(name="three sidecars, bucket 1200/10", requests=Bucket(20, 10), sidecars=3, callers=360),
    ]
    return worlds
