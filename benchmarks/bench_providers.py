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
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import PIPE
from typing import NamedTuple

from rig import Answer, Command, chats, demo_upstream, environment, get, line, post, run_burst, sidecar, tally

CALLERS = 600
SLOTS = 16
LATENCY = 0.6
IDEAL = CALLERS / (2 * SLOTS) * LATENCY
"""Seconds until the last answer of the burst at two providers."""
MOST = 1.15
"""Last answer over the ideal, at most."""
MIDDLE = IDEAL / 2
"""Seconds after the first caller at which one provider is killed."""
SPILLING = 100
"""Callers of the spillover; the second priority always has room for them."""
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
def sidecar_over(*addresses: str, more: str = "") -> Iterator[tuple[str, Command]]:
    """Run the sidecar over providers named p0, p1 and so on, the last one with `more` fields; yield its address too."""
    tables = [
        f'[[provider]]\nname = "p{number}"\nbase_url = "{address}/v1"\nmodel = "demo"\n'
        for number, address in enumerate(addresses)
    ]
    tables[-1] += more
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
        self.came: dict[int, float] = {}
        self.refused: dict[int, float] = {}

    async def open(self) -> str:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=4096)
        return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sent: list[int] = []

        def request(data: bytes) -> None:
            for number in _NUMBER.findall(data):
                sent.append(int(number))
                self.came.setdefault(int(number), time.perf_counter())

        def answer(data: bytes) -> None:
            if data.startswith(b"HTTP/1.1 429") and sent:
                self.refused[sent[-1]] = time.perf_counter()

        with contextlib.suppress(ConnectionError, asyncio.CancelledError):  # cancelled once the run is over
            first = await reader.read(65_536)
            request(first)
            there, out = await asyncio.open_connection(self.host, self.port)
            out.write(first)
            await asyncio.gather(_pass(reader, out, request), _pass(there, writer, answer))


async def _pass(source: asyncio.StreamReader, sink: asyncio.StreamWriter, note: Callable[[bytes], None]) -> None:
    try:
        while data := await source.read(65_536):
            note(data)
            sink.write(data)
            await sink.drain()
    finally:
        sink.close()


async def lateness() -> float:
    """Return the most seconds by which a bare loop was late until cancelled: the machine's part in every number."""
    most = 0.0
    with contextlib.suppress(asyncio.CancelledError):
        while True:
            due = time.perf_counter() + 0.005
            await asyncio.sleep(0.005)
            most = max(most, time.perf_counter() - due)
    return most


async def tap(first: str, second: str) -> None:
    """Run a tap before each provider, in a process without the callers.

    Prints the seconds of each spillover, after those by which this process was late.
    """
    taps = Tap(first), Tap(second)
    print(*[await one.open() for one in taps], flush=True)
    late = asyncio.create_task(lateness())
    await asyncio.to_thread(sys.stdin.read)
    late.cancel()
    came, refused = taps[1].came, taps[0].refused
    print(await late, *[came[number] - at for number, at in refused.items() if number in came], flush=True)


def spilled() -> tuple[float, list[float]]:
    """Return a bare loop's lateness, and the seconds from each refusal to the call's arrival at the second priority."""
    with demo(0, "--slots-by-turns", TURNS) as small, demo(0) as large:
        command = [sys.executable, __file__, "tap", small, large]
        with subprocess.Popen(command, stdin=PIPE, stdout=PIPE, env=environment(), text=True) as taps:
            assert taps.stdin is not None
            assert taps.stdout is not None
            with sidecar_over(*taps.stdout.readline().split(), more="priority = 2\nconcurrency = 1000\n") as (url, _):
                warm(url)
                answers = run_burst(url, chats(SPILLING))
                taps.stdin.close()
                late, *found = [float(word) for word in taps.stdout.readline().split()]
    assert tally(answers) == {"ok": SPILLING}, tally(answers)
    return late, found


def spillover(repeats: int) -> None:
    """Check that a call refused at the first priority is at the second within SPILLOVER."""
    print(f"\n{SPILLING} chats in 1 s; first priority of {TURNS} slots, second one without a limit")
    runs = [spilled() for _ in range(5 * repeats)]  # few calls of a run are refused
    every = sorted(seconds for _, run in runs for seconds in run)
    late = [late for late, _ in runs]
    line("calls refused at the first", f"{len(every)} in {len(runs)} runs")
    line("from the refusal to the second, p50", f"{statistics.median(every) * 1000:.1f} ms")
    line("the same, slowest of all runs", f"{every[-1] * 1000:.1f} ms", every[-1] <= SPILLOVER)
    shown = f"median {statistics.median(late) * 1000:.1f} ms, worst {max(late) * 1000:.1f} ms"
    line("a bare loop was late in a run by", shown)


def main() -> None:
    if sys.argv[1:2] == ["tap"]:
        asyncio.run(tap(*sys.argv[2:]))
        return
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    bursts(repeats)
    deaths(repeats)
    spillover(repeats)


if __name__ == "__main__":
    main()
