"""Restarts under load: the requests that fail, and the seconds that callers wait meanwhile.

    python benchmarks/bench_restart.py [--restarts 20] [--callers 64] [--latency 0.3]

Three ways: a successor first and then SIGTERM, on a shared listening socket; SIGTERM first and then the successor,
on a shared one (systemd's order); and, as the baseline, the same order where each process opens the port itself.
"""

import argparse
import asyncio
import socket
import time
from collections.abc import Callable
from functools import partial

from rig import Answer, Command, call, chats, demo_upstream, line, spread, tally

SUCCESSOR = 'export LISTEN_PID=$$ LISTEN_FDS=1; exec "$@" 3<&0 0</dev/null'
FLAGS = ("--http-mode", "--api-key", "sk-bench", "--log-format", "json")
Start = Callable[[], Command]
Restarted = tuple[list[float], Command]
"""Seconds of each restart, and the process that serves in the end."""


async def load(url: str, callers: int, restarting: "asyncio.Future[Restarted]") -> list[Answer]:
    """Run `callers` callers, each with one request after the other, until a second after the last restart."""
    start = time.perf_counter()
    bodies = chats(callers)
    answers: list[Answer] = []

    async def one(body: bytes) -> None:
        end = float("inf")
        while time.perf_counter() < end:
            answer = await call(url, body, start=start)
            answers.append(answer)
            if answer.status == 0:
                await asyncio.sleep(0.05)  # the baseline refuses at once, and a caller's retry takes time too
            if restarting.done():
                end = min(end, time.perf_counter() + 1)

    await asyncio.gather(*(one(body) for body in bodies))
    return answers


def successor_first(start: Start, restarts: int) -> Restarted:
    took = []
    old = start()
    for _ in range(restarts):
        began = time.perf_counter()
        new = start()
        assert old.stop() == 0
        took.append(time.perf_counter() - began)
        old = new
    return took, old


def stopped_first(start: Start, restarts: int) -> Restarted:
    took = []
    old = start()
    for _ in range(restarts):
        began = time.perf_counter()
        assert old.stop() == 0
        old = start()
        took.append(time.perf_counter() - began)
    return took, old


async def scene(name: str, url: str, restart: Callable[[], Restarted], callers: int, *, must: bool) -> None:
    restarting = asyncio.get_running_loop().run_in_executor(None, restart)
    answers = await load(url, callers, restarting)
    took, last = await restarting
    last.stop()
    counts = tally(answers)
    failed = len(answers) - counts.get("ok", 0)
    print(f"\n{name}: {len(took)} restarts under {callers} callers")
    line("seconds a restart", spread(took))
    line("requests", f"{len(answers)}; {counts}")
    line("failed", str(failed), failed == 0 if must else None)
    line("seconds an answer", spread([answer.seconds for answer in answers if answer.status]))


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--restarts", type=int, default=20)
    parser.add_argument("--callers", type=int, default=64)
    parser.add_argument("--latency", type=float, default=0.3)
    options = parser.parse_args()
    with demo_upstream("--latency", str(options.latency)) as upstream:
        start = partial(Command, *FLAGS, "--base-url", f"{upstream}/v1", ready='"listening"')
        for name, order in (("successor first", successor_first), ("stopped first", stopped_first)):
            with socket.create_server(("127.0.0.1", 0), backlog=4096) as sock:
                successor = partial(start, shell=SUCCESSOR, stdin=sock)
                restart = partial(order, successor, options.restarts)
                await scene(f"a shared socket, {name}", at(sock), restart, options.callers, must=True)
        with socket.create_server(("127.0.0.1", 0)) as sock:
            url = at(sock)
        alone = partial(start, "--port", url.rpartition(":")[2])
        restart = partial(stopped_first, alone, options.restarts)
        await scene("a port of its own, stopped first (baseline)", url, restart, options.callers, must=False)


def at(sock: socket.socket) -> str:
    return f"http://127.0.0.1:{sock.getsockname()[1]}"


if __name__ == "__main__":
    asyncio.run(main())
