"""Thirty bodies of 4 MiB at once: memory of the sidecar, /health, and the answers of other callers beside them.

    python benchmarks/bench_bodies.py [lists extra nested fields text ...] [--bodies 30]

Small values take 25 times their size once decoded. `messages` is refused, since it has too many.
"""

import argparse
import asyncio
import contextlib
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Self
from urllib.request import urlopen

from rig import Command, call, chats, line, sidecar, tally

SIZE = 4 * 2**20
ROUTE = "/v1/chat/completions"
HELD_SECONDS = 6.0
MOST_MEMORY, MOST_HEALTH = 128.0, 0.1
_START = b'{"messages": [{"role": "user", "content": "Why?"}], "x": '


def filled(start: bytes, part: bytes, end: bytes) -> bytes:
    """Return a body of just under 4 MiB."""
    count = (SIZE - len(start) - len(end)) // (len(part) + 1)
    return start + b",".join([part] * count) + end


def fields() -> bytes:
    return _START + b"{" + b",".join(b'"k%06d":0' % number for number in range(SIZE // 12 - 10)) + b"}}"


KINDS = {
    "lists": filled(b'{"messages": [{"role": "user", "content": [', b"[]", b"]}]}"),
    "extra": filled(_START + b"[", b"[]", b"]}"),
    "nested": filled(_START + b"[", b"[" * 50 + b"]" * 50, b"]}"),
    "fields": fields(),
    "text": filled(b'{"messages": [{"role": "user", "content": "', "A word 🙂 and a".encode(), b'"}]}'),
    "chat": filled(b'{"action": "chat", "content": "', b"A word and a", b'"}'),
    "messages": filled(b'{"messages": [', b"{}", b"]}"),
}


@contextlib.contextmanager
def sink() -> Iterator[str]:
    script = str(Path(__file__).with_name("sink_provider.py"))
    command = Command(str(HELD_SECONDS), ready="demo upstream on", program=(script,))
    try:
        yield command.log[-1].split()[-1].removesuffix("/v1")
    finally:
        command.stop()


class Watch:
    """Asks /health and reads the memory, again and again, in a thread of its own."""

    def __init__(self, url: str, command: Command) -> None:
        self.rest = command.memory()
        self.peak = self.slowest = 0.0
        self.count = self.above = 0
        self._url, self._command, self._over = url, command, threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(0.02):
            before = time.perf_counter()
            with urlopen(f"{self._url}/health", timeout=60) as response:
                response.read()
            seconds = time.perf_counter() - before
            self.slowest, self.count, self.above = (
                max(self.slowest, seconds),
                self.count + 1,
                self.above + (seconds > 0.05),
            )
            self.peak = max(self.peak, self._command.memory())


async def bodies_and_others(url: str, body: bytes, count: int, path: str = ROUTE) -> tuple[Counter[str], Counter[str]]:
    start = time.perf_counter()

    async def large(number: int) -> object:
        await asyncio.sleep(0.12 * number)  # at most half of QUEUE_BYTES may be on its way at once
        return await call(url, body, start=start, timeout=60, path=path)

    async def small(number: int, chat: bytes) -> object:
        await asyncio.sleep(0.05 * number)
        return await call(url, chat, start=start, timeout=60)

    larges = asyncio.gather(*(large(number) for number in range(count)))
    smalls = asyncio.gather(*(small(number, chat) for number, chat in enumerate(chats(150, size=200))))
    return tally(await larges), tally(await smalls)  # type: ignore[arg-type]


def measure(kind: str, count: int) -> None:
    with sink() as upstream, sidecar(upstream) as (url, command):
        asyncio.run(bodies_and_others(url, b'{"messages": [{"role": "user", "content": "Hi"}]}', 3))
        with Watch(url, command) as idle:
            time.sleep(3)
        with Watch(url, command) as watch:
            large, others = asyncio.run(bodies_and_others(url, KINDS[kind], count, "/ai" if kind == "chat" else ROUTE))
        added = watch.peak - watch.rest
        line(f"{kind}: memory over rest", f"{added:.0f} MiB; rest {watch.rest:.0f}", added <= MOST_MEMORY)
        shown = (
            f"{watch.slowest * 1e3:.0f} ms; {watch.above} of {watch.count} over 50 ms; idle {idle.slowest * 1e3:.0f} ms"
        )
        line(f"{kind}: slowest /health", shown, watch.slowest <= MOST_HEALTH)
        line(f"{kind}: answers", f"bodies {dict(large)}, others {dict(others)}", set(others) == {"ok"})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", default=list(KINDS))
    parser.add_argument("--bodies", type=int, default=30)
    args = parser.parse_args()
    for kind in args.kinds:
        print(f"\n{args.bodies} bodies of 4 MiB: {kind}")
        measure(kind, args.bodies)


if __name__ == "__main__":
    main()
