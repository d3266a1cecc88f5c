"""A provider in virtual time: the port `Upstream` over a world.

Its refusals are HTTP answers in the words of real providers, read by the real classifier.
"""

import asyncio
import json
import math
import random
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sidecar.core.ports import Call, Completion, Usage
from sidecar.provider import errors
from sidecar.provider.http_answer import Answer
from tests.support.worlds import Capacity, Voice, World


def tokens_of(call: Call) -> int:
    """Return the tokens of the user's text; the instruction is the same in every call and counts nothing."""
    return len(str(call.messages[-1]["content"])) // 4


class SimulatedProvider:
    """One provider of a world, shared by all sidecars of a scene."""

    def __init__(self, world: World, *, seed: int = 1) -> None:
        self.world = world
        self.received = 0
        self.refused = 0
        self.answered = 0
        self.left = 0
        """Calls whose caller left while they ran."""
        self.ends: list[float] = []
        self.capacity: Capacity | None = None
        self._random = random.Random(seed)
        self._line: list[asyncio.Future[None]] = []

    async def complete(self, call: Call, *, deadline: float) -> Completion:
        async with self._admitted(call) as seconds:
            await asyncio.sleep(seconds)
        await asyncio.sleep(self.world.away)
        self.answered += 1
        self.ends.append(asyncio.get_running_loop().time())
        return Completion(text="fine", prompt_tokens=tokens_of(call), completion_tokens=10)

    async def stream(self, call: Call, *, deadline: float, usage: Usage | None = None) -> AsyncGenerator[bytes, None]:
        """Yield five events, evenly over the call's time."""
        async with self._admitted(call) as seconds:
            for _ in range(5):
                await asyncio.sleep(seconds / 5)
                yield _event("fine ")
        self.answered += 1
        yield _event("", end="stop")

    @asynccontextmanager
    async def _admitted(self, call: Call) -> AsyncIterator[float]:
        """Travel to the provider and take a slot; yield the seconds of work, or raise the refusal."""
        world, loop = self.world, asyncio.get_running_loop()
        await asyncio.sleep(world.away * self._random.uniform(0.8, 1.2))
        if self.capacity is None:
            self.capacity = Capacity(world, loop.time())
        capacity, tokens = self.capacity, tokens_of(call)
        self.received += 1
        missing = capacity.missing(loop.time(), tokens)
        full = capacity.running >= capacity.slots(loop.time())
        if missing > 1e-9 or (full and not world.queue):
            if world.counts_refused:
                capacity.take(tokens, refused=True)
            self.refused += 1
            await asyncio.sleep(world.refusing + world.away)
            raise errors.failure(self._refusal(missing, capacity.full(loop.time())), call)
        capacity.take(tokens)
        await self._slot(capacity)
        try:
            yield world.hold * self._random.uniform(1 - world.spread, 1 + world.spread)
        except asyncio.CancelledError:
            self.left += 1
            raise
        finally:
            self._free(capacity)

    async def _slot(self, capacity: Capacity) -> None:
        loop = asyncio.get_running_loop()
        if capacity.running < capacity.slots(loop.time()):
            capacity.running += 1
            return
        place: asyncio.Future[None] = loop.create_future()
        self._line.append(place)
        try:
            await place
        except asyncio.CancelledError:
            self.left += 1
            if place.done() and not place.cancelled():
                self._free(capacity)
            else:
                self._line.remove(place)
            raise

    def _free(self, capacity: Capacity) -> None:
        capacity.running -= 1
        now = asyncio.get_running_loop().time()
        while self._line and capacity.running < capacity.slots(now):
            capacity.running += 1
            self._line.pop(0).set_result(None)

    def _refusal(self, missing: float, full: float) -> Answer:
        return refusal(self.world.voice, missing or 1.0, full)

    async def aclose(self) -> None:
        """Nothing to free."""


def refusal(voice: Voice, wait: float, full: float) -> Answer:
    """Return the refusal in this voice of a call that fits after `wait` seconds, with all capacity after `full`."""
    status, headers, body = 429, {}, b""
    limited = {"message": "Rate limit reached for gpt-4o.", "type": "requests", "code": "rate_limit_exceeded"}
    named = {"retry-after": str(math.ceil(wait)), "retry-after-ms": str(math.ceil(wait * 1000))}
    remaining = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": f"{math.ceil(full * 1000)}ms"}
    match voice:
        case "openai":
            headers, body = named | remaining, _error(limited)
        case "nowait":
            body = _error(limited)
        case "wrong":
            headers, body = {"retry-after": "3600"}, _error(limited)
        case "long":
            headers, body = {"retry-after": "20"}, _error(limited)
        case "reset":
            headers, body = remaining | {"x-ratelimit-reset-requests": "6m0s"}, _error(limited)
        case "azure":
            said = f"Requests have exceeded the rate limit. Please retry after {math.ceil(wait)} seconds."
            body = _error({"message": said, "code": "429"})
        case "gemini":
            words = "You exceeded your current quota, please check your plan and billing details."
            info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{math.ceil(wait)}s"}
            body = json.dumps(
                [{"error": {"code": 429, "message": words, "status": "RESOURCE_EXHAUSTED", "details": [info]}}]
            ).encode()
        case "503" | "529":
            status, body = int(voice), _error({"message": "Overloaded", "type": "overloaded_error"})
        case "bare":
            pass
    return Answer(status, headers, body)


def _event(text: str, *, end: str | None = None) -> bytes:
    return json.dumps({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": end}]}).encode()


def _error(error: dict[str, Any]) -> bytes:
    return json.dumps({"error": error}).encode()
