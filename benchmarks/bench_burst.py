"""A class clicks at once: callers answered, calls refused, time of the last answer, CPU and memory.

Runs the sidecar and the demo provider as processes. Two measures go with each number: the ideal that the provider's
slots allow, and a bare relay (aiohttp in, one bounded aiohttp client out) under the same load in the same run.
Usage: bench_burst.py [absorb discover fairness sharing silence crowd]
"""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from rig import Answer, chats, demo_upstream, environment, get, line, post, run_burst, sidecar, spread, tally

RELAY = Path(__file__).with_name("relay.py")


@contextlib.contextmanager
def relay(upstream: str, slots: int) -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, str(RELAY), upstream, str(slots)], stdout=subprocess.PIPE, env=environment(), text=True
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait(10)


def last(answers: list[Answer]) -> float:
    return max(answer.received for answer in answers)


def refused(upstream: str) -> int:
    return int(get(f"{upstream}/demo/stats")["refused"])


def absorb(count: int, slots: int, *, concurrency: int, factor: float, most_refused: int) -> None:
    """Check that all succeed, the last within `factor` of the ideal, with at most `most_refused` refused calls."""
    latency = 0.3
    ideal = count / slots * latency
    bodies = chats(count)
    print(
        f"\n{count} distinct chats in 1 s; {slots} slots of {latency} s; CONCURRENCY={concurrency}; ideal {ideal:.1f} s"
    )
    words = ("--latency", str(latency), "--slots", str(slots))
    with demo_upstream(*words) as upstream, relay(upstream, slots) as url:
        answers = run_burst(url, bodies)
        base = last(answers)
        line("bare relay, told the slots: last answer", f"{base:.2f} s = {base / ideal:.2f} x ideal; {tally(answers)}")
    with demo_upstream(*words) as upstream, sidecar(upstream, "--concurrency", str(concurrency)) as (url, command):
        post(f"{url}/ai", {"action": "chat", "content": "Is the SDK loaded?"})  # a class does not come with the start
        before = command.cpu()
        answers = run_burst(url, bodies)
        cpu = (command.cpu() - before) / count
        ok = tally(answers).get("ok", 0)
        end = last(answers)
        line("answered", f"{ok} of {count}; {tally(answers)}", ok == count)
        line(
            "last answer", f"{end:.2f} s = {end / ideal:.2f} x ideal = {end / base:.2f} x relay", end <= factor * ideal
        )
        line("seconds an answer", spread([answer.seconds for answer in answers]))
        line("calls refused by the provider", str(refused(upstream)), refused(upstream) <= most_refused)
        line("CPU a request, provider call included", f"{cpu * 1e6:.0f} us")
        line("peak memory", f"{command.memory('VmHWM'):.0f} MiB")


def fairness() -> None:
    """Check that 300 users behind one user's backlog wait at most twice as long as without that backlog."""
    print("\n300 users behind one user's 600; 64 slots of 0.3 s")
    greedy = [json.dumps({"action": "chat", "content": f"g{n}", "user_id": "greedy"}).encode() for n in range(600)]
    waits = {}
    for name, bodies in (("without backlog", chats(300)), ("behind backlog", greedy + chats(300))):
        with demo_upstream("--latency", "0.3", "--slots", "64") as upstream, sidecar(upstream) as (url, _):
            answers = run_burst(url, bodies)[-300:]
            waits[name] = sum(answer.seconds for answer in answers) / 300
            line(f"the others' wait {name}", f"mean {waits[name]:.2f} s, {spread([a.seconds for a in answers])}")
    ratio = waits["behind backlog"] / waits["without backlog"]
    line("ratio", f"{ratio:.2f}", ratio <= 2)


def sharing() -> None:
    """Check that 300 identical summaries are one provider call."""
    print("\n300 identical summaries by 300 users in 1 s")
    text = "The moon causes the tides. The sun does its part. " * 40
    bodies = [json.dumps({"action": "summarize", "content": text, "user_id": n}).encode() for n in range(300)]
    with demo_upstream("--latency", "0.3") as upstream, sidecar(upstream) as (url, _):
        answers = run_burst(url, bodies)
        calls = get(f"{upstream}/demo/stats")["received"]
        line("answered", str(tally(answers)), tally(answers) == {"ok": 300})
        line("provider calls", str(calls), calls == 1)


def silence() -> None:
    """Check that callers of a silent provider are answered within 0.3 s after the deadline, and calls end."""
    print("\n300 callers, a provider that never answers; REQUEST_TIMEOUT=5")
    with demo_upstream("--stall", "1") as upstream, sidecar(upstream, "--request-timeout", "5") as (url, _):
        answers = run_burst(url, chats(300))
        late = max(answer.seconds for answer in answers) - 5
        line("answers", str(tally(answers)), "lost" not in tally(answers))
        line("latest, after the deadline", f"{late:.3f} s", late <= 0.3)
        left = get(f"{upstream}/demo/stats")["in_flight"]
        line("provider calls left behind", str(left), left == 0)


def crowd() -> None:
    """Check that 5,000 waiting callers cost little memory, and that later waves reuse it."""
    print("\nwaves of 5,000 callers waiting at once, 1 KB bodies, QUEUE_SIZE=6000")
    bodies = chats(5000, size=1000)
    words = ("--queue-size", "6000", "--request-timeout", "60")
    with demo_upstream("--latency", "0.05", "--slots", "64") as upstream, sidecar(upstream, *words) as (url, command):
        run_burst(url, chats(100))
        base = command.memory()
        peaks = []
        for wave in range(3):
            Path(f"/proc/{command.pid}/clear_refs").write_text("5")
            answers = run_burst(url, bodies, timeout=60.0)
            peaks.append(command.memory("VmHWM"))
            line(f"wave {wave + 1}", f"{tally(answers)}, peak {peaks[-1]:.0f} MiB over {base:.0f} at rest")
        each = (peaks[0] - base) * 1024 / 5000
        line("memory a waiting caller", f"{each:.1f} KiB", each <= 60)
        growth = max(peaks[1:]) / peaks[0]
        line("later waves' peak", f"{growth:.3f} x the first", growth <= 1.05)


SCENES = {
    "absorb": lambda: absorb(2000, 64, concurrency=64, factor=1.1, most_refused=20),
    "discover": lambda: absorb(600, 16, concurrency=64, factor=1.2, most_refused=100),
    "fairness": fairness,
    "sharing": sharing,
    "silence": silence,
    "crowd": crowd,
}


def main() -> None:
    for name in sys.argv[1:] or SCENES:
        SCENES[name]()


if __name__ == "__main__":
    main()
