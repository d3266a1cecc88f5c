"""Several providers over real sockets: a burst at two of them, one that is killed in its middle, and spillover.

Runs the sidecar with a PROVIDERS_FILE and demo providers in OpenAI's voice as processes. Baseline of the burst, in the
same run: the same sidecar at one provider of all slots, which nobody told it. Each scene runs REPEATS times, spillover
five times as often; a line shows the median, and the worst run where the bound is for each.
Usage: bench_providers.py [REPEATS]
"""

import asyncio
import contextlib
import re
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from rig import Answer, Command, burst, chats, demo_upstream, get, line, post, run_burst, sidecar, tally

CALLERS = 600
SLOTS = 16
LATENCY = 0.6
IDEAL = CALLERS / (2 * SLOTS) * LATENCY
"""Seconds until the last answer of the burst at two providers."""
MOST = 1.15
"""Last answer over the ideal, at most."""
MIDDLE = IDEAL / 2
"""Seconds after the first caller at which one provider is killed."""
TURNS = "16:0.5,4:0.5"
"""Slots of the first priority, by turns: with steady ones the sidecar knows them after two or three refusals."""
SPILLOVER = 0.05
"""Seconds between a refusal at the first priority and the call's arrival at the second, at most."""
_NUMBER = re.compile(rb'"content": ?"(\d+): Why')


class Burst(NamedTuple):
    """One run of the burst."""

    ok: int
    last: float


class Death(NamedTuple):
    """One run in which a provider was killed."""

    failed: int
    answering: int
    """Calls in flight at the provider when it was killed."""
    last: float
    lost: int
    """Callers without any reply."""


def demo(slots: int = SLOTS, *words: str) -> contextlib.AbstractContextManager[str]:
    return demo_upstream("--latency", str(LATENCY), "--slots", str(slots), *words)


@contextlib.contextmanager
def sidecar_over(*addresses: str, priorities: tuple[int, ...] = ()) -> Iterator[tuple[str, Command]]:
    """Run the sidecar over providers named p0, p1 and so on; yield its address and the process."""
    tables = [
        f'[[provider]]\nname = "p{number}"\nbase_url = "{address}/v1"\nmodel = "demo"\n'
        f"priority = {priorities[number] if priorities else 1}\n"
        for number, address in enumerate(addresses)
    ]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "providers.toml"
        file.write_text("".join(tables))
        with sidecar(addresses[0], PROVIDERS_FILE=str(file)) as running:
            yield running


def warm(url: str) -> None:
    post(f"{url}/ai", {"action": "chat", "content": "Is all loaded?"})  # a class does not come with the start


def last(answers: list[Answer]) -> float:
    return max(answer.received for answer in answers)


def one_burst(url: str) -> Burst:
    warm(url)
    answers = run_burst(url, chats(CALLERS))
    return Burst(tally(answers).get("ok", 0), last(answers))


def at_two() -> Burst:
    with demo() as first, demo() as second, sidecar_over(first, second) as (url, _):
        return one_burst(url)


def at_one() -> Burst:
    with demo(2 * SLOTS) as upstream, sidecar(upstream) as (url, _):
        return one_burst(url)


def bursts(repeats: int) -> None:
    """Check that two providers are as good as one of their size: all answered, the last within MOST of the ideal."""
    print(f"\n{CALLERS} distinct chats in 1 s; two providers of {SLOTS} slots of {LATENCY} s; ideal {IDEAL:.1f} s")
    runs = [(at_two(), at_one()) for _ in range(repeats)]
    for name, found in (
        ("two providers", [two for two, _ in runs]),
        ("one provider of all slots", [o for _, o in runs]),
    ):
        end = statistics.median(run.last for run in found)
        least, worst = min(run.ok for run in found), max(run.last for run in found)
        must = name == "two providers"
        line(f"{name}: answered, least", f"{least} of {CALLERS}", least == CALLERS if must else None)
        line(
            f"{name}: last answer",
            f"{end:.2f} s = {end / IDEAL:.2f} x ideal; worst {worst / IDEAL:.2f}",
            worst <= MOST * IDEAL if must else None,
        )


class Mortal:
    """A demo provider as a process that is killed while its calls are in flight."""

    def __init__(self) -> None:
        self.command = Command(
            *("demo-upstream", "--port", "0", "--latency", str(LATENCY), "--slots", str(SLOTS)),
            ready="demo provider on",
        )
        self.address = next(w for w in self.command.log[-1].split() if w.startswith("http://")).removesuffix("/v1")
        self.answering = 0

    def die(self, status: str) -> None:
        """Stop the process, count its calls in flight in the sidecar's /status, and kill it."""
        self.command.process.send_signal(signal.SIGSTOP)
        self.answering = get(status)["providers"]["p0"]["running"]
        self.command.process.kill()


def death() -> Death:
    mortal = Mortal()
    with demo() as second, sidecar_over(mortal.address, second) as (url, _):
        warm(url)
        timer = threading.Timer(MIDDLE, mortal.die, (f"{url}/status",))
        timer.start()
        answers = run_burst(url, chats(CALLERS))
        timer.join()
        mortal.command.process.wait()
    counts = tally(answers)
    failed = len(answers) - counts.get("ok", 0)
    return Death(failed, mortal.answering, last(answers), counts.get("lost", 0))


def deaths(repeats: int) -> None:
    """Check that a provider killed in the middle takes along the calls that it is answering, and no other."""
    print(f"\nthe same burst; one of the two is killed after {MIDDLE:.1f} s")
    runs = [death() for _ in range(repeats)]
    done = IDEAL + MIDDLE  # what the dead one leaves is done by half of the slots
    end = statistics.median(run.last for run in runs)
    line("it was answering", f"{statistics.median(run.answering for run in runs):.0f} calls")
    failed = statistics.median(run.failed for run in runs)
    worst = max(run.failed - run.answering for run in runs)
    line("callers who failed", f"{failed:.0f}; beyond those calls at most {max(0, worst)}", worst <= 0)
    line("callers without a reply", str(max(run.lost for run in runs)), not any(run.lost for run in runs))
    line("last answer", f"{end:.2f} s = {end / done:.2f} x ideal of {done:.1f} s")


class Tap:
    """A relay before a provider that notes when each numbered call comes, and when it is refused."""

    def __init__(self, upstream: str) -> None:
        self.host, _, port = upstream.removeprefix("http://").partition(":")
        self.port = int(port)
        self.address = ""
        self.came: dict[int, float] = {}
        self.refused: dict[int, float] = {}

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=4096)
        self.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, out = await asyncio.open_connection(self.host, self.port)
        sent: list[int] = []

        def request(data: bytes) -> None:
            for number in _NUMBER.findall(data):
                sent.append(int(number))
                self.came.setdefault(int(number), time.perf_counter())

        def answer(data: bytes) -> None:
            if data.startswith(b"HTTP/1.1 429") and sent:
                self.refused[sent[-1]] = time.perf_counter()

        with contextlib.suppress(ConnectionError, asyncio.CancelledError):  # cancelled once the run is over
            await asyncio.gather(_pass(reader, out, request), _pass(there, writer, answer))


async def _pass(source: asyncio.StreamReader, sink: asyncio.StreamWriter, note: Callable[[bytes], None]) -> None:
    try:
        while data := await source.read(65_536):
            note(data)
            sink.write(data)
            await sink.drain()
    finally:
        sink.close()


async def spilled() -> list[float]:
    """Return the seconds from each refusal at the first priority to the call's arrival at the second."""
    with demo(0, "--slots-by-turns", TURNS) as small, demo(0) as large:
        first, second = Tap(small), Tap(large)
        async with first.open(), second.open():
            with sidecar_over(first.address, second.address, priorities=(1, 2)) as (url, _):
                await asyncio.to_thread(warm, url)
                answers = await burst(url, chats(CALLERS // 2))
    assert tally(answers) == {"ok": CALLERS // 2}, tally(answers)
    return [second.came[number] - at for number, at in first.refused.items() if number in second.came]


def spillover(repeats: int) -> None:
    """Check that a call refused at the first priority is at the second within SPILLOVER."""
    print(f"\n{CALLERS // 2} chats in 1 s; first priority of {TURNS} slots, second one without a limit")
    runs = [asyncio.run(spilled()) for _ in range(5 * repeats)]  # few calls of a run are refused
    every = sorted(seconds for run in runs for seconds in run)
    line("calls refused at the first", f"{statistics.median(len(run) for run in runs):.0f} a run, {len(every)} in all")
    line("from the refusal to the second, p50", f"{statistics.median(every) * 1000:.1f} ms")
    line("the same, slowest of all runs", f"{every[-1] * 1000:.1f} ms", every[-1] <= SPILLOVER)


def main() -> None:
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    bursts(repeats)
    deaths(repeats)
    spillover(repeats)


if __name__ == "__main__":
    main()
