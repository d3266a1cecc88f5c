"""CPU of a request on /ai (Markdown, HTML, a new connection each), on /v1 and as streams, beside a bare aiohttp relay.

    python benchmarks/bench_cost.py [--rounds 9] [--requests 3000] [--streams 300] [--profile FILE]

Provider and callers are processes of their own. Sidecar and relay take turns in each round, and BASE=<revision> adds an
older build to the turns. CPU is the process's own, by its clock; results are medians. `--profile` has the sidecar run
under cProfile and writes the profile, which makes its numbers useless.
"""

import argparse
import asyncio
import contextlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, cast

import uvloop
from base import THIS, Build, builds
from cost_provider import SHAPES as STREAMS
from rig import Command, environment, line

CONNECTIONS = 64
HERE = Path(__file__).parent
QUESTION = "Why does the moon look larger near the horizon? " * 4
SHAPES = tuple(name.decode() for name in STREAMS)
"""Streams that the provider writes otherwise than event by event."""
SIDECAR = ("--http-mode", "--port", "0", "--api-key", "sk-bench", "--log-format", "json")
PROFILED = """
import cProfile, sys, time
file, sys.argv[1:] = sys.argv[1], sys.argv[2:]
from sidecar.cli.main import main
profile = cProfile.Profile(time.thread_time)
code = profile.runcall(main)
profile.dump_stats(file)
sys.exit(code)
"""
MOST = {
    "/ai": 1.5,
    "/ai in HTML": 1.5,
    "/ai in HTML, a summary": 1.5,
    "/ai in HTML, new connections": 1.5,
    "/v1": 1.6,
    "stream": 1.5,
    **{f"stream, {shape}": 1.5 for shape in SHAPES},
}
"""CPU beside the relay, at most."""


class Way(NamedTuple):
    """One way of asking."""

    path: str
    body: Callable[[int], bytes]
    streams: bool = False
    closes: bool = False
    """Each request has a connection of its own, as PHP's have."""


def _ai(number: int, **fields: object) -> bytes:
    body = {"action": "chat", "content": f"{number}: {QUESTION}", "user_id": number % 997} | fields
    return json.dumps(body).encode()


def _v1(number: int, **fields: object) -> bytes:
    messages = [{"role": "user", "content": f"{number}: {QUESTION}"}]
    return json.dumps({"model": "gpt-4o", "user": str(number % 997), "messages": messages} | fields).encode()


def _shaped(name: str) -> Way:
    def body(number: int) -> bytes:
        messages = [{"role": "user", "content": f"{number}: Stream: {name}. {QUESTION}"}]
        return _v1(number, stream=True, messages=messages)

    return Way("/v1/chat/completions", body, streams=True)


WAYS = {
    "/ai": Way("/ai", lambda number: _ai(number, format="markdown")),  # as the relay passes it on
    "/ai in HTML": Way("/ai", lambda number: _ai(number, format="html")),
    "/ai in HTML, a summary": Way("/ai", lambda number: _ai(number, format="html", content=f"Summarize: {number}")),
    "/ai in HTML, new connections": Way("/ai", lambda number: _ai(number, format="html"), closes=True),
    "/v1": Way("/v1/chat/completions", _v1),
    "stream": Way("/v1/chat/completions", lambda number: _v1(number, stream=True), streams=True),
    **{f"stream, {shape}": _shaped(shape) for shape in SHAPES},
}


class Caller(asyncio.Protocol):
    """One connection, which sends the next request when the last one's answer is here, or ends then."""

    transport: asyncio.Transport

    def __init__(self, way: Way, numbers: Iterator[int]) -> None:
        self.way = way
        self.numbers = numbers
        self.received = bytearray()
        self.over = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        self.send()

    def send(self) -> None:
        number = next(self.numbers, None)
        if number is None:
            self.transport.close()
            self.over.set_result(None)
            return
        body = self.way.body(number)
        head = f"POST {self.way.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        if self.way.closes:
            head += "Connection: close\r\n"
        self.transport.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    def data_received(self, data: bytes) -> None:
        self.received += data
        end = self.received.find(b"\r\n\r\n")
        if end < 0:
            return
        if self.way.streams:
            done = self.received.endswith(b"0\r\n\r\n")
        elif (at := self.received.find(b"Content-Length: ", 0, end)) >= 0:
            length = int(self.received[at + 16 : self.received.index(b"\r", at)])
            done = len(self.received) >= end + 4 + length
        else:
            done = self.received.endswith(b"0\r\n\r\n")
        if done:
            good = b"[DONE]" if self.way.streams else b"half"
            if not self.received.startswith(b"HTTP/1.1 200") or good not in self.received:
                raise SystemExit(bytes(self.received[:2000]))
            self.received.clear()
            if self.way.closes:
                self.transport.close()
                self.over.set_result(None)
            else:
                self.send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.over.done():
            self.over.set_exception(exc or ConnectionError("closed"))


async def ask(url: str, way: Way, numbers: range, connections: int) -> None:
    """Ask for all numbers over the connections."""
    host, _, port = url.removeprefix("http://").partition(":")
    loop, left = asyncio.get_running_loop(), iter(numbers)
    if way.closes:
        await asyncio.gather(*(_one_by_one(way, left, host, int(port)) for _ in range(connections)))
        return
    made = [await loop.create_connection(lambda: Caller(way, left), host, int(port)) for _ in range(connections)]
    await asyncio.gather(*(caller.over for _, caller in made))


async def _one_by_one(way: Way, left: Iterator[int], host: str, port: int) -> None:
    """Ask for one number after another, each over a new connection."""
    for number in left:
        _, caller = await asyncio.get_running_loop().create_connection(
            lambda n=number: Caller(way, iter((n,))), host, port
        )
        await caller.over


def cpu(pid: int) -> float:
    """Return the seconds of CPU that a process has used (clock_getcpuclockid(3))."""
    return time.clock_gettime(~pid << 3 | 2)


@contextlib.contextmanager
def printed(*words: str) -> Iterator[tuple[str, int]]:
    """Run a script of this folder that prints its address; yield that and its process."""
    process = subprocess.Popen(
        [sys.executable, str(HERE / words[0]), *words[1:]], stdout=subprocess.PIPE, env=environment(), text=True
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip(), process.pid
    finally:
        process.terminate()
        process.wait(10)


@contextlib.contextmanager
def serving(build: Build, upstream: str, profile: str) -> Iterator[tuple[str, int]]:
    """Run a build's sidecar; yield its address and process."""
    program = ("-c", PROFILED, profile) if profile else ("-m", "sidecar")
    words = (*SIDECAR, "--base-url", f"{upstream}/v1")
    # Safe path: the folder of the shell must not come before the build's own.
    paths = {"PYTHONPATH": str(build.root), "PYTHONSAFEPATH": "1"}
    command = Command(*words, ready='"listening"', program=program, python=build.python, **paths)
    url = json.loads(command.log[-1])["ai"].removesuffix("/ai")
    try:
        yield url, command.pid
    finally:
        command.stop()


def costs(found: dict[str, tuple[str, int]], options: argparse.Namespace) -> dict[tuple[str, str], list[float]]:
    """Return the microseconds of CPU a request, by way and by name, of each round."""
    spent: dict[tuple[str, str], list[float]] = {}
    counter = 0
    for number in range(options.rounds + 1):
        for kind in options.ways:
            way = WAYS[kind]
            count = options.streams if way.streams else options.requests
            for name, (url, pid) in list(found.items())[:: 1 if number % 2 else -1]:
                before = cpu(pid)
                uvloop.run(ask(url, way, range(counter, counter + count), CONNECTIONS))
                used = (cpu(pid) - before) / count * 1e6
                counter += count
                if number:  # the first round warms everything
                    spent.setdefault((kind, name), []).append(used)
    return spent


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--requests", type=int, default=3000)
    parser.add_argument("--streams", type=int, default=300)
    parser.add_argument("--ways", nargs="*", default=list(WAYS), choices=list(WAYS))
    parser.add_argument("--profile", default="", help="file for the sidecar's profile")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        upstream, _ = stack.enter_context(printed("cost_provider.py"))
        found = {"relay": stack.enter_context(printed("relay.py", upstream, str(CONNECTIONS)))}
        for build in [THIS] if options.profile else stack.enter_context(builds()):
            found[build.name] = stack.enter_context(serving(build, upstream, options.profile))
        spent = costs(found, options)
    for kind in options.ways:
        print(f"\n{kind}: CPU a request, {CONNECTIONS} at once, provider answering at once")
        relay = spent[kind, "relay"]
        line("bare relay", f"{statistics.median(relay):.0f} us")
        for name in list(found)[1:]:
            ours = spent[kind, name]
            ratio = statistics.median(one / other for one, other in zip(ours, relay, strict=True))
            verdict = ratio <= MOST[kind] if name == THIS.name and kind in MOST else None
            line(name, f"{statistics.median(ours):.0f} us = {ratio:.2f} x", verdict)


if __name__ == "__main__":
    main()
