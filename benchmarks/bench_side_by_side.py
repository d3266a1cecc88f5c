"""Side by side in one run: this build, a bare relay, nginx and HAProxy; with --peers, gateways in place of the sidecar.

    python benchmarks/bench_side_by_side.py [cost latency memory bursts] [--peers] [--rounds 5]
        [--voices openai,azure] [--json FILE] [--svg FILE]

`cost`: CPU a request and requests a second, 64 kept connections, a provider that answers at once; the candidates in
turns, medians. CPU is the candidate's own, by the kernel's accounting, its children included. `latency`: what it adds
at 100 requests a second. `memory`: at rest after one answer, and with 2,000 callers waiting. `bursts`: 400 callers in
a second, 25 s each, at 16 slots that refuse beyond in each provider's voice, nobody told. BASE=<revision> measures an
older build too. A picture: --svg, or side_by_side_plot.py.
"""

import argparse
import asyncio
import contextlib
import datetime as dt
import json
import os
import platform
import statistics
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from base import THIS, builds
from candidates import PEERS, RELAYS, ROUTE, SERVERS, Candidate, Running, sidecars
from load import Ask, as_fast_as_it_goes, steadily
from rig import Command, chats, completions, demo_upstream, get, run_burst, tally
from side_by_side_plot import picture

VOICES = ("openai", "azure", "bare", "503", "529", "gemini", "openrouter", "long", "reset")
CALLERS, SLOTS, HOLD = 400, 16, 0.4
IDEAL = CALLERS / SLOTS * HOLD
WAITING = 2000
Row = dict[str, Any]


@contextlib.contextmanager
def instant(seconds: float = 0.0) -> Iterator[str]:
    """Run the provider that answers after so many seconds; yield its address."""
    command = Command(
        str(seconds), program=(str(Path(__file__).with_name("instant_provider.py")),), ready="demo upstream"
    )
    try:
        yield command.log[-1].split()[-1].removesuffix("/v1")
    finally:
        command.stop()


def bodies(ask: Ask, count: int, mark: str, *, stream: bool = False) -> list[bytes]:
    """Return distinct requests for a candidate's route."""
    more = {"stream": True} if stream else {}
    found = chats(count) if ask.path == "/ai" else completions(count, **more)
    return [body.replace(b"Why does", f"{mark}: why does".encode(), 1) for body in found]


def progress(words: str) -> None:
    print(f"  {words}", flush=True)


def cost(groups: dict[str, list[Candidate]], *, rounds: int, requests: int) -> list[Row]:
    """Return CPU microseconds a request and requests a second, by group and candidate."""
    rows: list[Row] = []
    for group, candidates in groups.items():
        print(f"\nCPU a request, {group}; 64 kept connections, a provider that answers at once; medians of {rounds}")
        stream = group == "streams"
        with instant() as upstream, contextlib.ExitStack() as stack:
            running = _started(stack, candidates, upstream, 64)
            found: dict[str, list[tuple[float, float]]] = {name: [] for name in running}
            for number in range(rounds + 1):
                for name, one in running.items() if number % 2 else reversed(running.items()):
                    count = requests if number else requests // 4
                    sent = bodies(one.ask, count, f"{group} {number}", stream=stream)
                    before = one.cpu()
                    load = as_fast_as_it_goes(one.ask, sent)
                    used = one.cpu() - before
                    if load.wrong:
                        progress(f"{name}: {load.wrong} of {count} wrong")
                    if number and load.answered:  # the first round warms everything
                        found[name].append((used / load.answered * 1e6, load.answered / load.seconds))
        base = next(name for name in found if name.startswith("bare"))
        floor = statistics.median(each for each, _ in found[base])
        for name, results in found.items():
            if not results:
                continue
            each, rate = (statistics.median(column) for column in zip(*results, strict=True))
            progress(f"{name:<34}{each:>8.0f} us = {each / floor:5.2f} x relay; {rate:>7.0f} requests a second")
            rows.append({"what": "cost", "group": group, "candidate": name, "us": each, "rate": rate, "relay": floor})
    return rows


def _started(
    stack: contextlib.ExitStack, candidates: Iterable[Candidate], upstream: str, slots: int
) -> dict[str, Running]:
    """Start candidates; leave out, with a line, what cannot be started here."""
    running = {}
    for candidate in candidates:
        try:
            running[candidate.name] = stack.enter_context(candidate.start(upstream, slots))
        except SystemExit as exc:
            progress(f"{candidate.name}: left out: {exc}")
    return running


def latency(candidates: list[Candidate], *, rounds: int, requests: int) -> list[Row]:
    """Return the milliseconds that each adds to the provider's own answer, at 100 requests a second."""
    print(f"\nadded latency at 100 requests a second; {rounds} rounds of {requests}")
    waits: dict[str, list[float]] = {}
    with instant() as upstream, contextlib.ExitStack() as stack:
        direct = Ask("127.0.0.1", int(upstream.rpartition(":")[2]), ROUTE, (), b"choices")
        asks = {"the provider alone": direct}
        asks |= {name: one.ask for name, one in _started(stack, candidates, upstream, 64).items()}
        for number in range(rounds + 1):
            for name, ask in asks.items():
                load = steadily(ask, bodies(ask, requests if number else 50, f"latency {number}"))
                if load.wrong:
                    progress(f"{name}: {load.wrong} wrong")
                if number:
                    waits.setdefault(name, []).extend(load.waits)
    rows: list[Row] = []
    alone = sorted(waits.pop("the provider alone"))
    for name, found in waits.items():
        found.sort()
        p50, p99 = (1000 * (at(found, share) - at(alone, share)) for share in (0.5, 0.99))
        progress(f"{name:<34} p50 {p50:6.2f} ms  p99 {p99:6.2f} ms")
        rows.append({"what": "latency", "candidate": name, "p50_ms": p50, "p99_ms": p99})
    return rows


def at(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def memory(candidates: list[Candidate]) -> list[Row]:
    """Return the MiB at rest and with 2,000 callers waiting, each on a connection of its own."""
    print(f"\nresident memory, children included, at rest and with {WAITING} callers waiting")
    rows: list[Row] = []
    for candidate in candidates:
        with instant(6.0) as slow, contextlib.ExitStack() as stack:
            running = _started(stack, [candidate], slow, 0)
            if not running:
                continue
            one = running[candidate.name]
            as_fast_as_it_goes(one.ask, bodies(one.ask, 1, "rest"), connections=1)
            rest = one.memory()
            peaks = [rest]
            over = threading.Event()

            def watch(one: Running = one, peaks: list[float] = peaks, over: threading.Event = over) -> None:
                while not over.wait(0.25):
                    peaks.append(one.memory())

            watcher = threading.Thread(target=watch)
            watcher.start()
            with contextlib.suppress(TimeoutError):
                asyncio.run(_crowd(one.ask))
            over.set()
            watcher.join()
            each = (max(peaks) - rest) * 1024 / WAITING
            progress(f"{candidate.name:<34}{rest:7.1f} MiB at rest {max(peaks):7.1f} MiB; {each:5.1f} KiB a caller")
            rows.append({"what": "memory", "candidate": candidate.name, "rest": rest, "waiting": max(peaks)})
    return rows


async def _crowd(ask: Ask) -> None:
    """Hold `WAITING` requests open for the provider's first answer."""
    requests = [ask.request(body) for body in bodies(ask, WAITING, "crowd")]
    writers = []
    for request in requests:
        _, writer = await asyncio.open_connection(ask.host, ask.port)
        writer.write(request)
        writers.append(writer)
    await asyncio.sleep(4.0)
    for writer in writers:
        writer.transport.abort()


def bursts(candidates: list[Candidate], voices: Iterable[str]) -> list[Row]:
    """Return callers answered, the last answer in ideals and calls refused, by voice."""
    print(f"\n{CALLERS} callers in 1 s, 25 s each; {SLOTS} slots of {HOLD} s, nobody told; ideal {IDEAL:.1f} s")
    rows: list[Row] = []
    for voice in voices:
        for candidate in candidates:
            words = ("--voice", voice, "--slots", str(SLOTS), "--latency", str(HOLD))
            with demo_upstream(*words) as upstream, contextlib.ExitStack() as stack:
                running = _started(stack, [candidate], upstream, 0)
                if not running:
                    continue
                ask = running[candidate.name].ask
                as_fast_as_it_goes(ask, bodies(ask, 1, "first"), connections=1)
                before = get(f"{upstream}/demo/stats")["refused"]
                began = time.perf_counter()
                answers = run_burst(
                    f"http://{ask.host}:{ask.port}",
                    bodies(ask, CALLERS, voice),
                    path=ask.path,
                    timeout=25.0,
                    headers=ask.headers,
                )
                took = time.perf_counter() - began
                ok = [answer for answer in answers if answer.code == "ok"]
                last = max((answer.received for answer in ok), default=0.0)
                refused = get(f"{upstream}/demo/stats")["refused"] - before
                codes = {code: count for code, count in tally(answers).items() if code != "ok"}
                progress(
                    f"{voice:<11}{candidate.name:<30}{len(ok):>4} answered, last {last / IDEAL:5.2f} x ideal, "
                    f"{refused:>6} refused {codes or ''}"
                )
                row = {"what": "burst", "voice": voice, "candidate": candidate.name, "answered": len(ok)}
                rows.append(row | {"last": last / IDEAL, "refused": refused, "seconds": took})
    return rows


def machine() -> Row:
    """Return when and where this was measured."""
    model = next((text.partition(":")[2].strip() for text in _cpuinfo() if text.startswith("model name")), "")
    revision = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return {
        "date": dt.datetime.now(tz=dt.UTC).date().isoformat(),
        "cpu": model,
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "revision": revision.stdout.strip(),
    }


def _cpuinfo() -> list[str]:
    with contextlib.suppress(OSError):
        return Path("/proc/cpuinfo").read_text().splitlines()
    return []


def measure(options: argparse.Namespace) -> list[Row]:
    ours = sidecars()
    peers = list(PEERS.values()) if options.peers else []
    with builds() as found:
        older = [sidecars(build) for build in found if build is not THIS]
        rows: list[Row] = []
        whole = [ours["v1"], *(one["v1"] for one in older), RELAYS["v1"], *SERVERS.values(), *peers]
        if "cost" in options.scenes:
            groups = {
                "/ai": [ours["ai"], *(one["ai"] for one in older), RELAYS["ai"]],
                "/v1": whole,
                "streams": whole,
            }
            rows += cost(groups, rounds=options.rounds, requests=options.requests)
        if "latency" in options.scenes:
            rows += latency([ours["ai"], *whole], rounds=options.rounds, requests=300)
        if "memory" in options.scenes:
            rows += memory([ours["ai"], *whole])
        if "bursts" in options.scenes:
            rows += bursts([ours["v1"], SERVERS["haproxy"], *peers], options.voices)
    return rows


def main() -> None:
    scenes = ["cost", "latency", "memory", "bursts"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenes", nargs="*", default=scenes, help=", ".join(scenes))
    parser.add_argument("--peers", action="store_true", help="LiteLLM, Portkey and smg too, each installed by itself")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=2000, help="requests of a round")
    parser.add_argument("--voices", type=lambda text: text.split(","), default=list(VOICES))
    parser.add_argument("--json", type=Path, metavar="FILE", help="raw numbers")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="picture")
    options = parser.parse_args()
    if unknown := set(options.scenes) - set(scenes):
        parser.error(f"no such scene: {', '.join(sorted(unknown))}")
    result = {"machine": machine(), "rows": measure(options)}
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    if options.svg:
        options.svg.write_text(picture(result))


if __name__ == "__main__":
    main()
