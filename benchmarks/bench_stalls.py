"""What a tiny request waits for beside large values: bodies of 4 MiB, answers of 16 MiB, texts of 4 MB.

    python benchmarks/bench_stalls.py [lists nested answer-lists answer-text ...] [--seconds 6]

/health on one kept connection shows the longest stall of the loop, a small chat on a new one what a caller waits.
"""

import argparse
import asyncio
import contextlib
import json
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from bench_bodies import KINDS
from rig import Command, call, line, sidecar

MIB = 2**20
MOST_STALL_MS = 20.0
MOST_CHAT_MS = 100.0
ROUTE = "/v1/chat/completions"
TEXT = "The mitochondrion makes most of the energy of a cell. Ünï 🙂. " * 60_000
SUMMARY = json.dumps({"action": "summarize", "content": TEXT}, ensure_ascii=False).encode()


def wanted(kind: str) -> bytes:
    """Return a body for which the sink sends the answer of that kind."""
    content = {"messages": [{"role": "user", "content": f"[sink {kind}]"}], "stream": kind == "event"}
    return json.dumps(content).encode()


ANSWERS = ("answer-lists", "answer-logprobs", "answer-text", "answer-accents")
WORK: dict[str, tuple[str, bytes]] = {
    "nothing": ("/health", b""),
    **{kind: (ROUTE, KINDS[kind]) for kind in ("lists", "nested", "text")},
    "chat": ("/ai", KINDS["chat"]),
    **{kind: (ROUTE, wanted(kind.removeprefix("answer-"))) for kind in ANSWERS},
    "ai-text": ("/ai", json.dumps({"action": "chat", "content": "[sink text]"}).encode()),
    "ai-accents": ("/ai", json.dumps({"action": "chat", "content": "[sink accents]"}).encode()),
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


async def work(url: str, path: str, body: bytes, seconds: float) -> tuple[int, set[str]]:
    """Send the large requests one after the other; return how many, and their outcomes."""
    count, codes, start = 0, set(), time.perf_counter()
    while time.perf_counter() - start < seconds:
        if not body:
            await asyncio.sleep(0.1)
            continue
        answer = await call(url, body, start=start, timeout=60, path=path)
        codes.add(answer.code if len(answer.body) < MIB else str(answer.status))  # nobody waits for its parsing
        count += 1
    return count, codes


def measure(kind: str, seconds: float) -> None:
    path, body = WORK[kind]
    with sink() as upstream, sidecar(upstream, "--cache-bytes", "0") as (url, command):
        asyncio.run(work(url, path, body, 1.0))  # what is loaded at its first use
        probing = subprocess.Popen([sys.executable, __file__, "probe", url, str(seconds)], stdout=subprocess.PIPE)
        count, codes = asyncio.run(work(url, path, body, seconds))
        health, chats = json.loads(probing.communicate()[0])
        peak = command.memory("VmHWM")
    stall, waits = max(health), sorted(chats)
    p99 = waits[int(len(waits) * 0.99) - 1]
    line(
        f"{kind}: /health max, {len(health)} times beside {count} {codes or ''}",
        f"{stall:.0f} ms",
        stall < MOST_STALL_MS,
    )
    line(
        f"{kind}: a small chat p50, p99, max; memory's peak",
        f"{statistics.median(waits):.1f}, {p99:.1f}, {waits[-1]:.1f} ms; {peak:.0f} MiB",
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
