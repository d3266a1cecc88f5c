"""The server's start and its rest: the first /health, the first /ai answer after a cold start, and memory at rest.

Baseline of /health: a bare aiohttp server under uvloop. With BASE=<revision> in the environment that revision is
installed and measured in turns with this build. Usage: bench_start.py [ROUNDS]
"""

import contextlib
import json
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from base import THIS, Build, builds
from rig import ROOT, demo_upstream, environment, line

sys.path.insert(0, str(ROOT))

from tests.support.ports import free_port

BARE = """
import asyncio, sys, uvloop
from aiohttp import web

async def main():
    async def health(request):
        return web.json_response({"status": "healthy"})
    app = web.Application()
    app.router.add_get("/health", health)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", int(sys.argv[1])).start()
    await asyncio.Event().wait()

with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    runner.run(main())
"""
HEALTH = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
BODY = json.dumps({"action": "chat", "content": "Hello"}).encode()
CHAT = b"POST /ai HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nConnection: close\r\n"
CHAT += b"Content-Length: %d\r\n\r\n%s" % (len(BODY), BODY)


@contextlib.contextmanager
def process(build: Build, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run `words` under the build's Python."""
    started = subprocess.Popen(
        [build.python, *words],
        cwd=build.root,  # -m takes the package from here
        env=environment() | {"PYTHONPATH": str(build.root)},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield started
    finally:
        started.kill()
        started.wait()


def answered(port: int, request: bytes) -> None:
    """Return once the server has answered `request` with 200."""
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 10) as caller:
            caller.sendall(request)
            if caller.recv(4096).startswith(b"HTTP/1.1 200"):
                return
        time.sleep(0.001)


def resident(pid: int) -> float:
    """Return the MiB resident now."""
    for row in Path(f"/proc/{pid}/status").read_text().splitlines():
        if row.startswith("VmRSS"):
            return int(row.split()[1]) / 1024
    return 0.0


def health_of(build: Build, *words: str) -> float:
    """Return the milliseconds from the start of `words` to the first /health answer."""
    port, start = free_port(), time.perf_counter()
    with process(build, *(word.replace("PORT", str(port)) for word in words)):
        answered(port, HEALTH)
        return (time.perf_counter() - start) * 1000


class First:
    """Medians of one build: milliseconds to the first /ai answer, MiB at rest after it."""

    def __init__(self, build: Build, provider: str) -> None:
        self.build = build
        self._provider = provider
        self._seconds: list[float] = []
        self._memory: list[float] = []

    def round(self) -> None:
        port, start = free_port(), time.perf_counter()
        flags = (f"--port={port}", "--api-key=k", f"--base-url={self._provider}/v1")
        with process(self.build, "-m", "sidecar", "--http-mode", *flags) as server:
            answered(port, CHAT)
            self._seconds.append((time.perf_counter() - start) * 1000)
            time.sleep(1)  # what loads in the background is part of the rest
            self._memory.append(resident(server.pid))

    @property
    def answer(self) -> float:
        return statistics.median(self._seconds[1:])

    @property
    def rest(self) -> float:
        return statistics.median(self._memory[1:])


def in_turns(rounds: int, *measures: Callable[[], object]) -> None:
    """Run the measures in turns; the first round, which also compiles modules without bytecode, is one more."""
    for _ in range(rounds + 1):
        for measure in measures:
            measure()


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    ours: list[float] = []
    bare: list[float] = []
    command = ("-m", "sidecar", "--http-mode", "--port=PORT", "--api-key=k", "--base-url=http://127.0.0.1:9/v1")
    in_turns(
        rounds,
        lambda: bare.append(health_of(THIS, "-c", BARE, "PORT")),
        lambda: ours.append(health_of(THIS, *command)),
    )
    base, mine = statistics.median(bare[1:]), statistics.median(ours[1:])
    print(f"\nprocess start to first /health answer, median of {rounds}")
    line("bare aiohttp under uvloop", f"{base:.0f} ms")
    line("the sidecar", f"{mine:.0f} ms = {mine / base:.2f} x", mine <= 1.5 * base)
    with builds() as found, demo_upstream() as provider:
        firsts = [First(build, provider) for build in found]
        in_turns(rounds, *(first.round for first in firsts))
    print(f"\nprocess start to the first /ai answer, and resident memory a second later, medians of {rounds}")
    for first in firsts:
        mine = first.build is THIS
        line(f"{first.build.name}: first answer", f"{first.answer:.0f} ms", first.answer <= 450 if mine else None)
        line(f"{first.build.name}: resident at rest", f"{first.rest:.1f} MiB", first.rest <= 48 if mine else None)


if __name__ == "__main__":
    main()
