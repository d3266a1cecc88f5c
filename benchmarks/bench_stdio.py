"""One-shot processes: the cost of one against a bare Python, and 200 at once.

    python benchmarks/bench_stdio.py [--runs 30] [--processes 200] [--latency 0.3]

The measure is the ratio to a Python that imports what any HTTP caller imports and exits; both run in turns.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

from rig import chats, demo_upstream, environment, get, line, post, spread

BASELINE = "import json, http.client, ssl, argparse"
MOST_TIMES, MOST_MIB = 1.4, 22
Cost = tuple[float, float]
"""Wall ms, CPU ms."""
PEAK = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], stdin=0, stdout=subprocess.DEVNULL, check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
"""
"""A small process that prints the peak MiB of its child: the kernel counts the memory of whoever starts it, too."""


def run(words: list[str], text: bytes) -> tuple[Cost, bytes]:
    """Start the process, write `text` and read to the end, as PHP does."""
    started = time.perf_counter()
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment())
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(text)
    process.stdin.close()
    reply = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stdout.close()
    if process.returncode:
        raise SystemExit(f"{words} ended with {process.returncode}")
    return (wall * 1000, (usage.ru_utime + usage.ru_stime) * 1000), reply


def peak_of(words: list[str], text: bytes) -> float:
    """Return the peak MiB of the process."""
    command = [sys.executable, "-S", "-c", PEAK, *words]
    return float(subprocess.run(command, input=text, capture_output=True, env=environment(), check=True).stdout)


def command(url: str, *more: str) -> list[str]:
    """Return the command with the flags that PHP gives it."""
    flags = ("--api-key=sk-bench", f"--base-url={url}/v1", "--model=demo", "--max-tokens=500")
    return [sys.executable, "-m", "sidecar", *flags, *more]


def one_at_a_time(url: str, runs: int) -> None:
    print("one request, process start to exit, median:")
    request = chats(1)[0] + b"\n"
    baseline = [sys.executable, "-c", BASELINE]
    bare: list[Cost] = []
    ours: list[Cost] = []
    for number in range(runs + 2):
        cost, _ = run(baseline, b"")
        mine, reply = run(command(url), request)
        assert json.loads(reply)["success"], reply
        if number >= 2:  # the first ones write the bytecode and fill the page cache
            bare.append(cost)
            ours.append(mine)
    for at, name in ((0, "wall"), (1, "CPU")):
        base, mine_ms = (statistics.median(cost[at] for cost in costs) for costs in (bare, ours))
        ratio = mine_ms / base
        line(f"{name}: baseline {base:.0f} ms, ours {mine_ms:.0f} ms", f"{ratio:.2f} times", ratio <= MOST_TIMES)
    peak = max(peak_of(command(url), request) for _ in range(3))
    line("peak memory", f"{peak:.1f} MiB", peak <= MOST_MIB)


def many_at_once(url: str, count: int, *, limit: int, latency: float) -> None:
    print(f"{count} processes at once, {limit} may work, the provider takes {latency} s:")
    post(f"{url}/demo/reset")
    post(f"{url}/demo/behave", {"latency": latency})
    started = time.perf_counter()
    words = command(url, f"--stdio-max-processes={limit}")
    processes = []
    for request in chats(count):
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment())
        assert process.stdin is not None
        process.stdin.write(request + b"\n")
        process.stdin.close()
        processes.append(process)
    line("all started after", f"{time.perf_counter() - started:.1f} s")
    codes: dict[str, int] = {}
    ended, failed = dict.fromkeys(range(count), 0.0), 0
    waiting = dict(enumerate(processes))
    while waiting:
        pid, status = os.wait()
        number = next((n for n, process in waiting.items() if process.pid == pid), None)
        if number is None:
            continue
        process = waiting.pop(number)
        process.returncode = os.waitstatus_to_exitcode(status)
        failed += process.returncode != 0
        ended[number] = time.perf_counter() - started
        assert process.stdout is not None
        with process.stdout as stdout:
            reply = json.loads(stdout.read() or b'{"code": "none"}')
        code = "ok" if reply.get("success") else reply["code"]
        codes[code] = codes.get(code, 0) + 1
    stats = get(f"{url}/demo/stats")
    line("replies", str(codes), codes.get("ok", 0) == count)
    line("exit codes other than 0", str(failed), failed == 0)
    line("most calls at the provider at once", str(stats["peak_in_flight"]), stats["peak_in_flight"] <= limit)
    line("seconds from the first start to each end", spread(list(ended.values())))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--processes", type=int, default=200)
    parser.add_argument("--latency", type=float, default=0.3)
    options = parser.parse_args()
    with demo_upstream() as url:
        one_at_a_time(url, options.runs)
        many_at_once(url, options.processes, limit=16, latency=options.latency)


if __name__ == "__main__":
    main()
