"""The OpenAI-compatible route: a request's cost against /ai, and the delay of a stream against a bare relay.

    python benchmarks/bench_openai_route.py [cost delay burst] [--rounds 10] [--requests 400] [--streams 400]

All candidates run in turns, in one run, against one demo provider.
"""

import argparse
import asyncio
import statistics
import time

from bench_burst import relay
from rig import chats, completions, demo_upstream, line, run_burst, sidecar, spread, tally

ROUTE = "/v1/chat/completions"
MOST_COST, MOST_DELAY = 1.2, 3.0


def cost(upstream: str, *, size: int, rounds: int, requests: int) -> None:
    print(f"\nCPU of the sidecar a request, its provider call included; texts of {size} characters")
    ways = {"/ai": chats(requests, size=size), ROUTE: completions(requests, size=size)}
    spent: dict[str, list[float]] = {path: [] for path in ways}
    with sidecar(upstream) as (url, command):
        for number in range(rounds + 1):
            for path, bodies in ways.items():
                before = command.cpu()
                answers = run_burst(url, bodies, within=0.8, path=path)
                if tally(answers) != {"ok": requests}:
                    raise SystemExit(f"{path}: {tally(answers)}")
                if number:  # the first round loads the SDK and warms everything
                    spent[path].append((command.cpu() - before) / requests * 1e6)
    ai, completion = (statistics.mean(spent[path]) for path in ways)
    line("/ai", f"{ai:.0f} us")
    line(ROUTE, f"{completion:.0f} us = {completion / ai:.2f} x /ai", completion <= MOST_COST * ai)


async def first_event(url: str, body: bytes) -> float:
    """Return the seconds from the request to the first event, on a new connection."""
    host, _, port = url.removeprefix("http://").partition(":")
    started = time.perf_counter()
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        head = f"POST {ROUTE} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nConnection: close\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        await reader.readuntil(b"data: ")
        seconds = time.perf_counter() - started
        await reader.read(-1)
        return seconds
    finally:
        writer.close()


async def in_turns(urls: dict[str, str], bodies: list[bytes]) -> dict[str, list[float]]:
    for url in urls.values():
        for body in bodies[:50]:
            await first_event(url, body)
    found: dict[str, list[float]] = {name: [] for name in urls}
    for body in bodies:
        for name, url in urls.items():
            found[name].append(await first_event(url, body))
    return found


def delay(upstream: str, *, streams: int) -> None:
    print(f"\nfirst event of a stream, {streams} one after another on each way")
    with relay(upstream, 64) as bare, sidecar(upstream) as (ours, _):
        urls = {"provider itself": upstream, "bare relay": bare, "sidecar": ours}
        found = asyncio.run(in_turns(urls, completions(streams, stream=True)))
    direct = statistics.median(found["provider itself"])
    line("provider itself", f"{direct * 1e3:.2f} ms")
    added = {name: statistics.median(found[name]) - direct for name in ("bare relay", "sidecar")}
    line("bare relay adds", f"{added['bare relay'] * 1e3:.2f} ms; {_ms(found['bare relay'])}")
    ratio = added["sidecar"] / added["bare relay"]
    shown = f"{added['sidecar'] * 1e3:.2f} ms = {ratio:.2f} x relay; {_ms(found['sidecar'])}"
    line("sidecar adds", shown, ratio <= MOST_DELAY)


def _ms(seconds: list[float]) -> str:
    return f"ms in all: {spread([value * 1e3 for value in seconds])}"


def burst(upstream: str) -> None:
    print("\n300 bodies that differ in `user` alone, ?action=summarize, in 1 s")
    question = completions(1)[0]
    bodies = [question.replace(b'"user": "0"', b'"user": "hash-%d"' % number) for number in range(300)]
    with sidecar(upstream) as (url, command):
        run_burst(url, completions(50), path=ROUTE)
        before = command.cpu()
        answers = run_burst(url, bodies, path=f"{ROUTE}?action=summarize")
        line("answered", str(tally(answers)), tally(answers) == {"ok": 300})
        line("different answers", str(len({answer.body for answer in answers})), len({a.body for a in answers}) == 1)
        line("CPU a request", f"{(command.cpu() - before) / 300 * 1e6:.0f} us")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scenes", nargs="*", metavar="cost|delay|burst")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--requests", type=int, default=400)
    parser.add_argument("--streams", type=int, default=1500)
    options = parser.parse_args()
    scenes = options.scenes or ["cost", "delay", "burst"]
    with demo_upstream() as upstream:
        if "cost" in scenes:
            for size in (200, 20_000):
                cost(upstream, size=size, rounds=options.rounds, requests=options.requests)
        if "delay" in scenes:
            delay(upstream, streams=options.streams)
        if "burst" in scenes:
            burst(upstream)


if __name__ == "__main__":
    main()
