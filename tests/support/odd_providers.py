"""Providers in virtual time whose limits or refusals are unlike a bucket and slots. No promises here."""

import asyncio
import math
import random
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sidecar.core.ports import Call, Completion
from sidecar.provider import errors
from sidecar.provider.http_answer import Answer
from tests.support.simulated_provider import SimulatedProvider, refusal
from tests.support.worlds import World

PAGE = b"<html><head><title>502 Bad Gateway</title></head><body><center>nginx</center></body></html>"


class Windowed(SimulatedProvider):
    """Admits so many calls a window: of the clock, or of the time before each call (`sliding`)."""

    def __init__(self, world: World, count: int, seconds: float, *, sliding: bool = False) -> None:
        super().__init__(world)
        self._count, self._window, self._sliding = count, seconds, sliding
        self._sent: deque[float] = deque()
        self._start: float | None = None

    def _wait(self, now: float) -> float:
        """Return the seconds until a call would be admitted; 0 for now."""
        since = now - self._window if self._sliding else now // self._window * self._window
        while self._sent and (self._sent[0] <= since if self._sliding else self._sent[0] < since):
            self._sent.popleft()
        if len(self._sent) < self._count:
            return 0.0
        return (self._sent[0] if self._sliding else since) + self._window - now

    @asynccontextmanager
    async def _admitted(self, call: Call) -> AsyncIterator[float]:
        loop = asyncio.get_running_loop()
        self._start = loop.time() if self._start is None else self._start
        now = loop.time() - self._start
        self.received += 1
        if wait := self._wait(now):
            self.refused += 1
            await asyncio.sleep(self.world.refusing)
            raise errors.failure(refusal(self.world.voice, wait, wait), call)
        self._sent.append(now)
        yield self.world.hold


def best_of_windows(world: World, count: int, seconds: float) -> float:
    """Return the seconds until the last answer to a client that sends as soon as a window admits."""
    return (math.ceil(world.callers / count) - 1) * seconds + world.hold


class Gateway(SimulatedProvider):
    """Answers with a status and a page of its own while its server is full."""

    def __init__(self, world: World, status: int, *, poison: str = "none") -> None:
        super().__init__(world)
        self._status = status
        self._poison = poison
        self.poisoned = 0
        """Calls of the text that makes the server fail."""

    def _refusal(self, missing: float, full: float) -> Answer:
        return Answer(self._status, {"content-type": "text/html"}, PAGE)

    async def complete(self, call: Call, *, deadline: float) -> Completion:
        if self._poison in str(call.messages[-1]["content"]):
            self.poisoned += 1
            await asyncio.sleep(self.world.refusing)
            raise errors.failure(self._refusal(0.0, 0.0), call)
        return await super().complete(call, deadline=deadline)


class Grown(SimulatedProvider):
    """Takes more calls at once from a point on the clock on, and as many as it had before that."""

    def __init__(self, world: World, later: int, at: float) -> None:
        super().__init__(world)
        self._later, self._at = later, at

    @asynccontextmanager
    async def _admitted(self, call: Call) -> AsyncIterator[float]:
        if self.capacity is not None and asyncio.get_running_loop().time() >= self._at:
            self.capacity.world = World(name="", slots=((self._later, math.inf),))
        async with super()._admitted(call) as seconds:
            yield seconds


class Troubled(SimulatedProvider):
    """Refuses a share of all calls by chance, however few run."""

    def __init__(self, world: World, share: float, *, seed: int) -> None:
        super().__init__(world, seed=seed)
        self._share = share
        self._chance = random.Random(f"{seed} troubled")

    @asynccontextmanager
    async def _admitted(self, call: Call) -> AsyncIterator[float]:
        if self._chance.random() < self._share:
            self.received += 1
            self.refused += 1
            await asyncio.sleep(self.world.refusing)
            raise errors.failure(refusal(self.world.voice, 1.0, 1.0), call)
        async with super()._admitted(call) as seconds:
            yield seconds
