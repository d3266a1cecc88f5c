"""A cheap caller with kept connections: as fast as answers come, at a steady rate, or many waiting at once."""

import asyncio
import resource
import time
from collections.abc import Coroutine
from typing import Any, NamedTuple

import uvloop


class Ask(NamedTuple):
    """Where a request goes, and what it is."""

    host: str
    port: int
    path: str
    headers: tuple[tuple[str, str], ...]
    expected: bytes
    """Bytes that a right answer holds."""

    def request(self, body: bytes) -> bytes:
        lines = [
            f"POST {self.path} HTTP/1.1",
            f"Host: 127.0.0.1:{self.port}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            *(f"{name}: {value}" for name, value in self.headers),
        ]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Load(NamedTuple):
    """What a run of requests gave."""

    answered: int
    wrong: int
    seconds: float
    waits: list[float]
    """Seconds of each right answer."""


class Caller(asyncio.Protocol):
    """One kept connection; one request at a time."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._read = bytearray()
        self._waiter: asyncio.Future[bool] | None = None
        self._transport: Any = None

    @classmethod
    async def connect(cls, ask: Ask) -> "Caller":
        _, caller = await asyncio.get_running_loop().create_connection(lambda: cls(ask), ask.host, ask.port)
        return caller

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._end(right=False)

    def data_received(self, data: bytes) -> None:
        self._read += data
        end = self._read.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self._read[:end]).lower()
        _, found, length = head.partition(b"content-length:")
        if found:
            whole = len(self._read) >= end + 4 + int(length.split(b"\r\n")[0])
        else:
            whole = self._read.endswith(b"0\r\n\r\n")
        if whole:
            right = head.startswith(b"http/1.1 200") and self._ask.expected in self._read
            self._read.clear()
            self._end(right=right)

    async def send(self, request: bytes) -> bool:
        """Send a request; return whether its answer was right."""
        self._waiter = asyncio.get_running_loop().create_future()
        if self._transport.is_closing():
            return False
        self._transport.write(request)
        return await self._waiter

    def close(self) -> None:
        self._transport.abort()

    def _end(self, *, right: bool) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(right)


async def _closed(ask: Ask, bodies: list[bytes], connections: int) -> Load:
    callers = [await Caller.connect(ask) for _ in range(connections)]
    requests = iter([ask.request(body) for body in bodies])
    waits: list[float] = []
    wrong = 0

    async def work(caller: Caller) -> None:
        nonlocal wrong
        for request in requests:
            began = time.perf_counter()
            if await caller.send(request):
                waits.append(time.perf_counter() - began)
            else:
                wrong += 1

    began = time.perf_counter()
    await asyncio.gather(*map(work, callers))
    took = time.perf_counter() - began
    for caller in callers:
        caller.close()
    return Load(len(waits), wrong, took, waits)


async def _steady(ask: Ask, bodies: list[bytes], rate: float, connections: int) -> Load:
    free = [await Caller.connect(ask) for _ in range(connections)]
    waits: list[float] = []
    wrong = 0

    async def one(due: float, request: bytes) -> None:
        nonlocal wrong
        await asyncio.sleep(due - time.perf_counter())
        caller = free.pop() if free else await Caller.connect(ask)
        began = time.perf_counter()
        if await caller.send(request):
            waits.append(time.perf_counter() - began)
            free.append(caller)
        else:
            wrong += 1
            caller.close()

    began = time.perf_counter()
    await asyncio.gather(*(one(began + number / rate, ask.request(body)) for number, body in enumerate(bodies)))
    took = time.perf_counter() - began
    for caller in free:
        caller.close()
    return Load(len(waits), wrong, took, waits)


def as_fast_as_it_goes(ask: Ask, bodies: list[bytes], *, connections: int = 64) -> Load:
    """Send all `bodies`, one at a time on each of so many kept connections."""
    return _run(_closed(ask, bodies, connections))


def steadily(ask: Ask, bodies: list[bytes], *, rate: float = 100.0, connections: int = 16) -> Load:
    """Send `bodies` at `rate` a second, whether or not earlier ones were answered."""
    return _run(_steady(ask, bodies, rate, connections))


def _run(coroutine: Coroutine[Any, Any, Load]) -> Load:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 20_000)), hard))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(coroutine)
