"""PROCESSES: CPU of a request with one process and with two, and what two processors would carry of them.

    python benchmarks/bench_processes.py [--rounds 9] [--requests 2000] [--streams 300] [--concurrency 64] [--alike]

Callers and provider run on the same machine, so that throughput itself says little on few processors. CPU a request
does: two processors carry at most 2 x (CPU with one process / CPU of all processes with two) of what one carries, and
no more than the busiest process of the two allows. One process and two take turns in each round, and results are
medians of the rounds. BASE=<revision> adds an older build's two processes to the turns.

What a request costs depends on how busy its process is: one that is always busy finds more events at each turn of its
loop, and reads several of a stream at once, so that a stream costs 4.6 ms at 8 connections and 1.3 ms at 256. That
favours the single process, which is always busy, and in streams most. With --alike all of the sidecar's processes share
one processor, and callers and provider have the others: one process and two are then equally busy, and two are charged
with the switches between them, which they would not have on processors of their own. The truth lies between.

With --concurrency below the 64 connections calls wait, so that every request needs the parent.
"""

import argparse
import contextlib
import json
import os
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

import uvloop
from base import THIS, Build, builds
from bench_cost import CONNECTIONS, SIDECAR, WAYS, ask, cpu, printed
from rig import Command, line

LEAST = 1.8
"""What two processors carry beside one, at least."""


@contextlib.contextmanager
def serving(build: Build, *words: str) -> Iterator[tuple[str, list[int]]]:
    """Run a build's sidecar; yield its address and its processes."""
    paths = {"PYTHONPATH": str(build.root), "PYTHONSAFEPATH": "1"}
    command = Command(*SIDECAR, *words, ready='"listening"', python=build.python, **paths)
    url = json.loads(command.log[-1])["ai"].removesuffix("/ai")
    children = Path(f"/proc/{command.pid}/task/{command.pid}/children").read_text().split()
    try:
        yield url, [command.pid, *map(int, children)]
    finally:
        command.stop()


def place(pid: int, processors: set[int]) -> None:
    """Let a process run on these processors alone, with all its threads and as few switches as the kernel grants."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), processors)
        os.sched_setscheduler(int(thread.name), os.SCHED_BATCH, os.sched_param(0))


def rounds(
    found: dict[str, tuple[str, list[int]]], options: argparse.Namespace, kind: str
) -> dict[str, list[list[float]]]:
    """Return the microseconds of CPU a request of each process, by name, of each round."""
    way, counter = WAYS[kind], 0
    count = options.streams if way.streams else options.requests
    spent: dict[str, list[list[float]]] = {name: [] for name in found}
    for number in range(options.rounds + 1):
        for name, (url, pids) in list(found.items())[:: 1 if number % 2 else -1]:
            before = [cpu(pid) for pid in pids]
            uvloop.run(ask(url, way, range(counter, counter + count), CONNECTIONS))
            counter += count
            if number:  # the first round warms everything
                used = [cpu(pid) - was for pid, was in zip(pids, before, strict=True)]
                spent[name].append([seconds / count * 1e6 for seconds in used])
    return spent


def show(kind: str, spent: dict[str, list[list[float]]]) -> None:
    """Print what the rounds say."""
    print(f"\n{kind}")
    ones = [used[0] for used in spent["one process"]]
    line("one process", f"{statistics.median(ones):.0f} us a request")
    for name, used in spent.items():
        if name == "one process":
            continue
        line(f"{name} and their parent", f"{statistics.median(map(sum, used)):.0f} us a request")
        parent = statistics.median(each[0] / sum(each) for each in used)
        busiest = statistics.median(max(each) / sum(each) for each in used)
        ratio = statistics.median(one / sum(each) for one, each in zip(ones, used, strict=True))
        line("the busiest of the three, and the parent, have of that", f"{busiest:.0%}, {parent:.0%}")
        line("most that any number of processors carries, beside one", f"{ratio / parent:.2f} x")
        carried = min(2, 1 / busiest) * ratio
        line("two processors carry, beside one", f"{carried:.2f} x", carried >= LEAST if name == "two" else None)


def main() -> None:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    arguments.add_argument("--rounds", type=int, default=9)
    arguments.add_argument("--requests", type=int, default=2000)
    arguments.add_argument("--streams", type=int, default=300)
    arguments.add_argument("--concurrency", type=int, default=CONNECTIONS)
    arguments.add_argument("--alike", action="store_true", help="keep one process and two equally busy")
    arguments.add_argument("--ways", nargs="*", default=list(WAYS), choices=list(WAYS))
    options = arguments.parse_args()
    with contextlib.ExitStack() as stack:
        upstream, provider = stack.enter_context(printed("cost_provider.py"))
        common = ("--base-url", f"{upstream}/v1", "--request-timeout=120", f"--concurrency={options.concurrency}")
        found = {"one process": stack.enter_context(serving(THIS, *common))}
        for build in stack.enter_context(builds()):
            name = "two" if build.name == THIS.name else f"two of {build.name}"
            found[name] = stack.enter_context(serving(build, *common, "--processes=2"))
        processors = sorted(os.sched_getaffinity(0))
        if options.alike and len(processors) > 1:
            for pid in (pid for _, pids in found.values() for pid in pids):
                place(pid, {processors[0]})
            for pid in (provider, os.getpid()):
                place(pid, set(processors[1:]))
        for kind in options.ways:
            show(kind, rounds(found, options, kind))


if __name__ == "__main__":
    sys.exit(main())
