"""A seeded mix of faults at once: the provider's faults, callers who leave, signals.

Used short by the tests and long by benchmarks/bench_chaos.py. The laws it checks are in `Report.broken`.
"""

import asyncio
import json
import random
import signal
from collections import Counter
from typing import Any

from sidecar.demo.options import Options
from sidecar.demo.provider import Demo
from sidecar.demo.server import serve
from tests.support.http_sidecar import Caller, post
from tests.support.server_process import PATIENCE, Served, served

TROUBLES = (
    *["latency=0.02"] * 8,
    "latency=0.3",
    "status=503 fail_first=1",
    "status=503 fail_first=2",
    "status=500",
    "status=400",
    "status=529 fail_first=1",
    "cut=before",
    "cut=headers",
    "cut=body",
    "garbage=truncated",
    "garbage=html",
    "garbage=nocontent",
    "stall=1",
)
LEFT = "left"


class Report:
    """Result of a run."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.codes: Counter[str] = Counter()
        self.broken: list[str] = []
        """Each law that did not hold, in words."""
        self.calls = 0
        """Provider calls that were answered."""
        self.reset: list[str] = []
        """Marks of the callers whose connection was reset before a byte of an answer."""

    def __str__(self) -> str:
        return f"seed {self.seed}: {dict(self.codes)}, {self.calls} provider calls answered, broken: {self.broken}"


async def run(seed: int, *, requests: int, seconds: float) -> Report:
    """Send `requests` callers over `seconds`; then drain the server in the middle of a last wave."""
    dice, report = random.Random(seed), Report(seed)
    # Eight slots and a queue of sixty-four: refusals and full queues are part of the mix.
    words = ("--concurrency=16", "--queue-size=64", "--request-timeout=3", "--shutdown-grace=4", "--api-key=k")
    async with (
        serve(Options(slots=8, retry_after=0.1, seed=seed), keep=0) as demo,
        served(f"--base-url={demo.url}/v1", *words) as server,
    ):
        signals = asyncio.create_task(_stops(server, dice, seconds), name="signals")
        callers = [
            asyncio.create_task(_caller(server, report, dice.randrange(2**32), number, seconds))
            for number in range(requests)
        ]
        await asyncio.gather(*callers)
        await signals
        await _quiet(server, demo, report)
        last = [
            asyncio.create_task(_caller(server, report, dice.randrange(2**32), requests + number, 0.2))
            for number in range(40)
        ]
        await asyncio.wait(last, return_when=asyncio.FIRST_COMPLETED)
        server.process.send_signal(signal.SIGTERM)
        before = set(report.reset)
        await asyncio.gather(*last)
        if (code := await server.ended()) != 0:
            report.broken.append(f"exit code {code}")
        for mark in report.reset:
            # Between the last look into the backlog and the socket's end the kernel still takes callers, and resets
            # them as it refuses those who come later. Callers the server heard of, and those before them, are owed one.
            if mark in before or mark.encode() in server.raw:
                report.broken.append(f"{mark} had no answer: reset")
            else:
                report.codes["refused"] += 1
        await demo.until(lambda stats: stats.in_flight == 0)
        report.calls = demo.stats.answered
    if report.calls > requests + 40:
        report.broken.append(f"{report.calls} answered calls for {requests + 40} requests")
    if report.codes["internal"] or any(line["event"] == "internal" for line in server.log):
        report.broken.append("a fault of ours")
    return report


async def _stops(server: Served, dice: random.Random, seconds: float) -> None:
    """Stop the process for 0.1 s, three times, as under a debugger or on a swapping machine."""
    for _ in range(3):
        await asyncio.sleep(dice.uniform(0, seconds / 3))
        server.process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(0.1)
        server.process.send_signal(signal.SIGCONT)


async def _caller(server: Served, report: Report, seed: int, number: int, seconds: float) -> None:
    dice = random.Random(seed)
    await asyncio.sleep(dice.uniform(0, seconds))
    mark = f"Question{number}x"
    body = {
        "action": dice.choice(["chat", "chat", "summarize", "analyze"]),
        "content": f"{mark} is about rivers and the sea. [demo {dice.choice(TROUBLES)}]",
        "user_id": dice.choice([None, number % 7, f"u{number}"]),
    }
    stays = dice.random() < 0.8
    try:
        caller = await server.call()
    except OSError:
        report.codes["refused"] += 1
        return
    async with caller:
        try:
            await caller.send(post(json.dumps(body).encode(), "Connection: close", f"X-Request-ID: {mark}"))
        except ConnectionError:
            report.reset.append(mark)
            return
        if not stays:
            await asyncio.sleep(dice.uniform(0, 0.3))
            caller.writer.transport.abort()
            report.codes[LEFT] += 1
            return
        await _hear(caller, report, mark)


async def _hear(caller: Caller, report: Report, mark: str) -> None:
    try:
        answer = await caller.receive()
        more = await caller.rest()
    except ConnectionError:
        report.reset.append(mark)
        return
    except (OSError, asyncio.IncompleteReadError, TimeoutError) as exc:
        report.codes["lost"] += 1
        report.broken.append(f"{mark} had no answer: {type(exc).__name__}")
        return
    reply: Any = answer.json
    report.codes["ok" if reply["success"] else reply["code"]] += 1
    if more:
        report.broken.append(f"{mark} was answered twice")
    if reply["success"] and mark not in reply["data"]:
        report.broken.append(f"{mark} got an answer that is not its own")


async def _quiet(server: Served, demo: Demo, report: Report) -> None:
    """Check that the server releases every place, byte, slot and flight once all callers have gone."""
    held: tuple[int, ...] = ()
    try:
        async with asyncio.timeout(PATIENCE):
            while True:
                status = (await server.get("/status")).json
                held = (
                    status["places"]["now"],
                    status["bytes"]["now"],
                    status["slots"]["running"],
                    status["slots"]["waiting"],
                    status["flights"]["under_way"],
                    demo.stats.in_flight,
                )
                if not any(held):
                    break
    except TimeoutError:
        report.broken.append(f"held by nobody: {held}")
