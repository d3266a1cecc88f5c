"""What each client of the provider costs: CPU of one call, time to import, memory of a process that called once.

Baseline: a bare aiohttp session that posts the same body and parses the answer. Calls take turns in one process, 32 at
once, against a raw asyncio server in a process of its own; import and memory come from a fresh process each.
Usage: bench_clients.py [ROUNDS]
"""

import asyncio
import contextlib
import json
import multiprocessing
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection

import aiohttp
import uvloop
from rig import environment, line

from sidecar.config.load import load
from sidecar.core.ports import Call
from sidecar.provider.base import HttpUpstream

Way = Callable[[], Awaitable[object]]
AT_ONCE = 32
CALLS = 2000
FRESH_ROUNDS = 5
CALL = Call(messages=[{"role": "user", "content": "What is a fraction?"}], max_tokens=20)
MESSAGE = {"role": "assistant", "content": "A part of a whole."}
ANSWER = json.dumps(
    {
        "id": "x",
        "object": "chat.completion",
        "model": "m",
        "choices": [{"index": 0, "message": MESSAGE, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
    }
).encode()
REPLY = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(ANSWER), ANSWER)
CLIENTS = {
    "aiohttp": "sidecar.provider.aiohttp.client.AiohttpUpstream",
    "openai_sdk": "sidecar.provider.openai_sdk.SdkUpstream",
    "stdlib": "sidecar.provider.stdlib.client.LightUpstream",
}
BARE = "bare aiohttp"
TARGET = 1.5
"""Cost of a call by the default client over a bare one, at most."""
FRESH = """
import asyncio, sys, time
from sidecar.config.load import load
from sidecar.core.ports import Call
from sidecar import wiring
module, kind, port = sys.argv[1:]
started = time.perf_counter()

async def main():
    settings = {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": f"http://127.0.0.1:{port}/v1"}
    upstream = getattr(__import__(module, fromlist=[kind]), kind)(load({}, None, settings))
    if (warm := upstream.warm()) is not None:
        await warm
    opened = time.perf_counter()
    call = Call(messages=[{"role": "user", "content": "Why?"}], max_tokens=20)
    await upstream.complete(call, deadline=asyncio.get_running_loop().time() + 30)
    await upstream.aclose()
    [kilobytes] = [one.split()[1] for one in open("/proc/self/status") if one.startswith("VmRSS")]
    print((opened - started) * 1000, int(kilobytes) / 1024)

asyncio.run(main())
"""


class Provider(asyncio.Protocol):
    """Answers each request as soon as its body is here."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.received = b""

    def data_received(self, data: bytes) -> None:
        self.received += data
        while (end := self.received.find(b"\r\n\r\n")) >= 0:
            length = int(self.received[:end].lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
            if len(self.received) < end + 4 + length:
                return
            self.received = self.received[end + 4 + length :]
            self.transport.write(REPLY)  # type: ignore[attr-defined]


def provide(pipe: Connection) -> None:
    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(Provider, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    uvloop.run(main())


def client(name: str, port: int) -> HttpUpstream:
    module, _, kind = CLIENTS[name].rpartition(".")
    settings = {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": f"http://127.0.0.1:{port}/v1", "OPENAI_MODEL": "m"}
    upstream: HttpUpstream = getattr(__import__(module, fromlist=[kind]), kind)(load({}, None, settings))
    return upstream


def way_of(upstream: HttpUpstream) -> Way:
    loop = asyncio.get_running_loop()
    return lambda: upstream.complete(CALL, deadline=loop.time() + 30)


def bare(session: aiohttp.ClientSession, port: int) -> Way:
    body = json.dumps({"model": "m", "messages": CALL.messages, "max_tokens": 20}).encode()
    headers = {"Content-Type": "application/json", "Authorization": "Bearer k"}

    async def call() -> object:
        async with session.post(f"http://127.0.0.1:{port}/v1/chat/completions", data=body, headers=headers) as response:
            return json.loads(await response.read())

    return call


async def cpu(way: Way) -> float:
    """Return the microseconds of this process's CPU that a call takes."""
    left = iter(range(CALLS))

    async def worker() -> None:
        for _ in left:
            await way()

    started = time.process_time()
    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))
    return (time.process_time() - started) / CALLS * 1e6


async def calls(port: int, rounds: int) -> dict[str, list[float]]:
    async with contextlib.AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        ways = {BARE: bare(session, port)}
        for name in CLIENTS:
            upstream = client(name, port)
            stack.push_async_callback(upstream.aclose)
            ways[name] = way_of(upstream)
        for way in ways.values():
            await cpu(way)
        found: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, way in ways.items():
                found[name].append(await cpu(way))
        return found


def fresh(name: str, port: int) -> tuple[float, float]:
    """Return milliseconds to import and open the client, and MB of the process after one call."""
    words = [sys.executable, "-c", FRESH, *CLIENTS[name].rpartition(".")[::2], str(port)]
    done = subprocess.run(words, env=environment(), capture_output=True, text=True, check=True)
    milliseconds, megabytes = map(float, done.stdout.split())
    return milliseconds, megabytes


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    spawn.Process(target=provide, args=(theirs,), daemon=True).start()
    port = ours.recv()
    costs = {name: statistics.median(found) for name, found in uvloop.run(calls(port, rounds)).items()}
    starts: dict[str, list[tuple[float, float]]] = {name: [] for name in CLIENTS}
    for _ in range(FRESH_ROUNDS):
        for name in CLIENTS:
            starts[name].append(fresh(name, port))
    line(BARE, f"{costs[BARE]:.0f} us of CPU a call")
    for name in CLIENTS:
        milliseconds, megabytes = (statistics.median(values) for values in zip(*starts[name], strict=True))
        times = costs[name] / costs[BARE]
        call = f"{costs[name]:.0f} us of CPU a call, {times:.2f} x bare"
        fast = times <= TARGET if name == "aiohttp" else None
        line(name, f"{call}; {milliseconds:.0f} ms to open; {megabytes:.0f} MB", fast)


if __name__ == "__main__":
    main()
