"""What a tiny request waits for beside large values: bodies of 4 MiB, answers of 16 MiB, texts of 4 MB.

    python benchmarks/bench_stalls.py [lists nested answer-lists answer-text ...] [--seconds 6]

The longest stall of the loop is the most CPU time of the process between two of its turns (`turns.py`); other programs
lengthen it where they hold up the loop's thread alone, so it is a median. Beside it, the longest wait for /health on
one kept connection, and small chats on new ones.
"""

import argparse
import asyncio
import contextlib
import json
import os
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from bench_bodies import KINDS
from rig import Command, call, line, sidecar

MIB = 2**20
MOST_STALL_MS = 20.0
MOST_CHAT_MS = 100.0
TURNS = str(Path(__file__).with_name("turns.py"))
ROUTE = "/v1/chat/completions"
TEXT = "The mitochondrion makes most of the energy of a cell. Ünï 🙂. " * 60_000
SUMMARY = json.dumps({"action": "summarize", "content": TEXT}, ensure_ascii=False).encode()


def wanted(kind: str) -> bytes:
    """Return a body for which the sink sends the answer of that kind."""
    content = {"messages": [{"role": "user", "content": f"[sink {kind}]"}], "stream": kind == "event"}
    return json.dumps(content).encode()


ANSWERS = tuple(f"answer-{kind}" for kind in ("lists", "logprobs", "nan", "nested", "text", "accents", "quotes"))
WORK: dict[str, tuple[str, bytes]] = {
    "nothing": ("/health", b""),
    **{kind: (ROUTE, KINDS[kind]) for kind in ("lists", "nested", "text")},
    "chat": ("/ai", KINDS["chat"]),
    **{kind: (ROUTE, wanted(kind.removeprefix("answer-"))) for kind in ANSWERS},
    **{
        f"ai-{kind}": ("/ai", json.dumps({"action": "chat", "content": f"[sink {kind}]"}).encode())
        for kind in ("text", "accents", "quotes")
    },
    "event": (ROUTE, wanted("event")),
    "summary": ("/ai", SUMMARY),
}


def probe(url: str, seconds: float) -> None:
    """Print how long /health and small chats took, in milliseconds."""
    where = urlsplit(url)
    chat = json.dumps({"action": "chat", "content": "Why?"}).encode()
    head = b"POST /ai HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nConnection: close\r\n"
    health, chats, until = [], [], time.perf_counter() + seconds
    with socket.create_connection((where.hostname, where.port)) as kept:
        while time.perf_counter() < until:
            began = time.perf_counter()
            kept.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            kept.recv(4096)
            health.append(1e3 * (time.perf_counter() - began))
            if len(health) % 8 == 0:
                began = time.perf_counter()
                with socket.create_connection((where.hostname, where.port)) as fresh:
                    fresh.sendall(b"%sContent-Length: %d\r\n\r\n%s" % (head, len(chat), chat))
                    while fresh.recv(4096):
                        pass
                chats.append(1e3 * (time.perf_counter() - began))
            time.sleep(0.002)
    print(json.dumps([health, chats]))


@contextlib.contextmanager
def sink() -> Iterator[str]:
    command = Command("0", ready="demo upstream on", program=(str(Path(__file__).with_name("sink_provider.py")),))
    try:
        yield command.log[-1].split()[-1].removesuffix("/v1")
    finally:
        command.stop()


class Stalls:
    """The longest stall of the loop since the last look, in milliseconds, as `turns.py` keeps it in a file."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_RDWR)
        os.pwrite(self._file, bytes(8), 0)

    def look(self) -> float:
        """Return the longest stall, and begin anew."""
        [seconds] = struct.unpack("d", os.pread(self._file, 8, 0))
        os.pwrite(self._file, bytes(8), 0)
        return 1e3 * float(seconds)


async def work(url: str, path: str, body: bytes, seconds: float, stalls: Stalls) -> tuple[list[float], set[str]]:
    """Send the large requests one after the other; return the longest stall of each, and their outcomes."""
    found: list[float] = []
    codes, start = set(), time.perf_counter()
    while time.perf_counter() - start < seconds:
        stalls.look()
        if body:
            answer = await call(url, body, start=start, timeout=60, path=path)
            codes.add(answer.code if len(answer.body) < MIB else str(answer.status))  # nobody waits for its parsing
        else:
            await asyncio.sleep(0.1)
        found.append(stalls.look())
    return found, codes


def measure(kind: str, seconds: float) -> None:
    path, body = WORK[kind]
    with sink() as upstream, tempfile.NamedTemporaryFile() as file:
        stalls = Stalls(file.name)
        with sidecar(upstream, "--cache-bytes", "0", program=(TURNS, file.name)) as (url, command):
            asyncio.run(work(url, path, body, 1.0, stalls))  # what is loaded at its first use
            before = command.cpu()
            probing = subprocess.Popen([sys.executable, __file__, "probe", url, str(seconds)], stdout=subprocess.PIPE)
            found, codes = asyncio.run(work(url, path, body, seconds, stalls))
            cost = (command.cpu() - before) / len(found)
            health, chats = json.loads(probing.communicate()[0])
            peak = command.memory("VmHWM")
    found, waits = sorted(found), sorted(chats)
    p99 = waits[max(int(len(waits) * 0.99) - 1, 0)]
    stall = statistics.median(found)
    line(
        f"{kind}: longest stall, median and worst of {len(found)} {codes or ''}",
        f"{stall:.1f}, {found[-1]:.1f} ms",
        stall < MOST_STALL_MS,
    )
    line(f"{kind}: CPU of each, small requests included; memory's peak", f"{1e3 * cost:.0f} ms; {peak:.0f} MiB")
    line(f"{kind}: /health max of {len(health)}", f"{max(health):.0f} ms")
    line(
        f"{kind}: a small chat p50, p99, max",
        f"{statistics.median(waits):.1f}, {p99:.1f}, {waits[-1]:.1f} ms",
        p99 < MOST_CHAT_MS,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", default=list(WORK))
    parser.add_argument("--seconds", type=float, default=6.0)
    if sys.argv[1:2] == ["probe"]:
        probe(sys.argv[2], float(sys.argv[3]))
        return
    args = parser.parse_args()
    for kind in args.kinds:
        measure(kind, args.seconds)


if __name__ == "__main__":
    main()
