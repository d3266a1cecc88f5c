"""The usual relay: aiohttp in, a client of 64 connections out, and up to ten retries of a refused call.

A retry waits as long as Retry-After says, else for a time that doubles from 0.5 to 8 s, a quarter of it by chance, as
in the official SDK; the SDK obeys retry-after-ms first, which at a bucket uses up ten retries within a second.
Given a `World` as JSON, the relay knows the provider's limit and keeps within it from the start.
Usage: relay_retrying.py UPSTREAM [WORLD]; prints its address on stderr.
"""

import asyncio
import contextlib
import json
import random
import sys
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
import msgspec
import uvloop
from aiohttp import web
from limit_scenes import MAX_TOKENS, cost, messages

from tests.support.worlds import Bucket, Capacity, World

CONNECTIONS = 64
RETRIES = 10
DEADLINE = 25.0
"""Seconds from arrival to answer."""
TURN_LOOK = 0.02
"""Seconds between two checks of slots that change with time."""


class KnownLimit:
    """Lets calls go as the provider admits them, first come first served, from the provider's own limit."""

    def __init__(self, world: World) -> None:
        # Calls overtake one another on the network, so room for one is left.
        self._world = msgspec.structs.replace(
            world, requests=_less(world.requests, 1), tokens=_less(world.tokens, max(world.sizes))
        )
        self._capacity: Capacity | None = None
        self._first = asyncio.Lock()
        self._left = asyncio.Event()

    @contextlib.asynccontextmanager
    async def call(self, text: str) -> AsyncIterator[None]:
        now = asyncio.get_running_loop().time
        size = cost(text) if self._world.tokens else 1
        capacity = self._capacity = self._capacity or Capacity(self._world, now())
        async with self._first:
            while not capacity.admits(now(), size):
                self._left.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(max(0.001, capacity.missing(now(), size) or TURN_LOOK)):
                        await self._left.wait()
            capacity.take(size)
            capacity.running += 1
        try:
            yield
        finally:
            capacity.running -= 1
            self._left.set()


def _less(bucket: Bucket | None, amount: float) -> Bucket | None:
    return bucket and Bucket(bucket.rate, max(amount, bucket.burst - amount))


class Relay:
    def __init__(self, upstream: str, session: aiohttp.ClientSession, known: KnownLimit | None) -> None:
        self._url = f"{upstream}/v1/chat/completions"
        self._session = session
        self._known = known

    async def answer(self, request: web.Request) -> web.Response:
        try:
            async with asyncio.timeout(DEADLINE):
                text = await self._complete(json.loads(await request.read())["content"])
        except TimeoutError:
            text = None
        return web.json_response({"success": text is not None, "data": text})

    async def _complete(self, content: str) -> str | None:
        body = {"model": "demo", "max_tokens": MAX_TOKENS, "messages": messages(content)}
        for tried in range(RETRIES + 1):
            async with self._known.call(content) if self._known else contextlib.nullcontext():
                status, headers, raw = await self._post(body)
            if status == 200:
                text: str = json.loads(raw)["choices"][0]["message"]["content"]
                return text
            if status not in (0, 408, 409, 429) and status < 500:
                return None
            if tried < RETRIES:
                await asyncio.sleep(pause(headers, tried))
        return None

    async def _post(self, body: dict[str, Any]) -> tuple[int, Mapping[str, str], bytes]:
        try:
            async with self._session.post(self._url, json=body) as response:
                return response.status, response.headers, await response.read()
        except aiohttp.ClientError:
            return 0, {}, b""


def pause(headers: Mapping[str, str], tried: int) -> float:
    """Return the seconds to sleep after attempt number `tried`, counted from 0."""
    with contextlib.suppress(KeyError, ValueError):
        return float(headers["Retry-After"])
    return min(8.0, 0.5 * 2.0**tried) * (1 - 0.25 * random.random())


async def main(upstream: str, world: World | None) -> None:
    connector = aiohttp.TCPConnector(limit=CONNECTIONS)
    async with aiohttp.ClientSession(connector=connector) as session:
        app = web.Application()
        app.router.add_post("/ai", Relay(upstream, session, KnownLimit(world) if world else None).answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=4096).start()
        host, port = runner.addresses[0][:2]
        print(f"http://{host}:{port}", file=sys.stderr, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    known = msgspec.json.decode(sys.argv[2], type=World) if len(sys.argv) > 2 else None
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        loop.run(main(sys.argv[1], known))
