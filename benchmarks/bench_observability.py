"""What watching costs: CPU of a request with and without observers and scrapes, and a scrape beside 5,000 callers.

    python benchmarks/bench_observability.py [cost scrape] [--rounds 15] [--requests 2000] [--callers 5000]

The ways of `cost` run in turns, in one run, on 64 kept connections at a provider that answers at once: the cheapest
request there is, beside which watching costs most. A round's ways follow each other, and the ratio is the median of
the rounds' ratios.
"""

import argparse
import asyncio
import signal
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from threading import Event, Thread
from typing import Any
from urllib.request import Request, urlopen

import uvloop
from bench_cost import CONNECTIONS, WAYS, ask, cpu, printed
from rig import Command, call, chats, completions, demo_upstream, get, line, post, run_burst, sidecar

from sidecar.config.load import load
from sidecar.core.observations import CallEnd, Observers, RequestEnd
from sidecar.engine.limiter.pool import Pool
from sidecar.engine.limiter.provider import Provider
from sidecar.engine.statistics import Statistics
from sidecar.metrics.exposition import server_exposition
from sidecar.service import service_of

MOST_COST = 1.03
"""CPU of a request beside that without observers, at most."""
MOST_SCRAPE = 0.02
"""Seconds of a scrape, at most."""
SWITCHED = """
import signal, sys
from sidecar.core.observations import Observers
ways = [(Observers.request_ended, Observers.call_ended), (lambda *_: None, lambda *_: None)]
def switch(*_):
    ways.reverse()
    Observers.request_ended, Observers.call_ended = ways[0]
signal.signal(signal.SIGUSR1, switch)
from sidecar.cli.main import main
sys.exit(main())
"""
"""A sidecar whose observers SIGUSR1 takes off and puts on: two processes differ by more than what is measured."""
OPENMETRICS = {"Accept": "application/openmetrics-text;version=1.0.0"}


def scrape(url: str) -> tuple[float, int]:
    """Return the seconds of a scrape with request ids, and the bytes of its page."""
    started = time.perf_counter()
    with urlopen(Request(f"{url}/metrics?exemplars=true", headers=OPENMETRICS), timeout=30) as response:
        size = len(response.read())
    return time.perf_counter() - started, size


@contextmanager
def scrapes(url: str, every: float) -> Iterator[None]:
    """Scrape once in `every` seconds during the block."""
    over = Event()

    def run() -> None:
        while not over.wait(every):
            scrape(url)

    thread = Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def cost(*, rounds: int, requests: int) -> None:
    print(f"\nCPU of the sidecar a request, {CONNECTIONS} kept connections, provider answering at once")
    spent: dict[str, list[float]] = {"without observers": [], "with observers": [], "with a scrape a second": []}
    with (
        printed("cost_provider.py") as (upstream, _),
        # Patient, so that nobody is refused beside other load on the machine.
        sidecar(upstream, "--request-timeout", "120", program=("-c", SWITCHED)) as (url, command),
    ):
        scrape(url)
        for number in range(rounds + 1):
            for way in spent if number % 2 else reversed(spent):
                unobserved = way == "without observers"
                if unobserved:
                    command.process.send_signal(signal.SIGUSR1)
                used = _used(url, command, range(number * requests, (number + 1) * requests), scraped="scrape" in way)
                if unobserved:
                    command.process.send_signal(signal.SIGUSR1)
                if number:  # the first round warms everything
                    spent[way].append(used / requests * 1e6)
    base = spent["without observers"]
    for way, found in spent.items():
        ratio = statistics.median(one / other for one, other in zip(found, base, strict=True))
        verdict = None if found is base else ratio <= MOST_COST
        line(way, f"{statistics.median(found):.0f} us = {ratio:.3f} x", verdict)
    line("the observers alone, in a process of their own", f"{_observing() * 1e6:.1f} us")


def _used(url: str, command: Command, numbers: range, *, scraped: bool) -> float:
    """Return the seconds of CPU that these requests take, with a scrape a second if `scraped`."""
    with ExitStack() as stack:
        if scraped:
            stack.enter_context(scrapes(url, every=1.0))
        before = cpu(command.pid)
        uvloop.run(ask(url, WAYS["/ai"], numbers, CONNECTIONS))
        return cpu(command.pid) - before


def _observing(times: int = 20_000) -> float:
    """Return the seconds that a request's observations take, their making included."""
    observers, counting = Observers(), Statistics()
    observers.of_requests.append(counting)
    observers.of_calls.append(counting)
    started = time.thread_time()
    for number in range(times):
        observers.call_ended(CallEnd(provider="", code="ok", seconds=0.3, first=None))
        observers.request_ended(
            RequestEnd(
                request_id="0123456789abcdef",
                route="ai",
                action="chat",
                code="ok",
                user="17",
                seconds=number / times,
                queued=0.1,
                upstream=0.3,
                calls=1,
                prompt_tokens=100,
                completion_tokens=50,
            )
        )
    return (time.thread_time() - started) / times


def waiting(callers: int) -> None:
    print(f"\nscrapes while {callers} callers wait, with all connections open")
    words = ("--queue-size", str(callers + 100), "--request-timeout", "120", "--concurrency", "64")
    with demo_upstream() as upstream, sidecar(upstream, *words) as (url, command):
        rest = command.memory()
        first, _ = scrape(url)
        line("first scrape, which loads the library", f"{first * 1e3:.1f} ms")
        line("memory", f"{rest:.1f} MiB before the first scrape, {command.memory():.1f} MiB after it")
        # Histograms of both routes and of streams: without them the page is small.
        run_burst(url, chats(100))
        run_burst(url, completions(100), path="/v1/chat/completions")
        run_burst(url, completions(100, stream=True), path="/v1/chat/completions")
        post(f"{upstream}/demo/behave", {"stall": 1})
        asyncio.run(_crowd(url, command, chats(callers, size=1000)))


def _late(found: list[float]) -> str:
    return f"95 of 100 within {sorted(found)[94] * 1e3:.1f} ms"


def large(providers: int) -> None:
    """Time a page with all histograms of many providers, in this process."""
    service = service_of(load({}, None, {"OPENAI_API_KEY": "x"}), _pool(providers))
    observers = service.log.observers
    for number in range(100 * providers):
        name, seconds = f"provider-{number % providers}", number / 100
        for code in ("ok", "rate_limited", "timeout"):
            observers.call_ended(CallEnd(provider=name, code=code, retry=True, seconds=seconds, first=seconds / 2))
        for route in ("ai", "openai", "jobs", "stdio"):
            end = RequestEnd(request_id=f"r-{number}", route=route, code="ok", action="chat", calls=1, seconds=seconds)
            observers.request_ended(end)
    exposition = server_exposition(service, client="aiohttp")

    async def page() -> tuple[float, int]:
        started = time.thread_time()
        _, body = await exposition.page(OPENMETRICS["Accept"], exemplars=True)
        return time.thread_time() - started, body.count(b"\n")

    asyncio.run(page())
    found = [asyncio.run(page()) for _ in range(30)]
    seconds = statistics.median(seconds for seconds, _ in found)
    line(f"a page with {providers} providers", f"{seconds * 1e3:.1f} ms, {found[0][1]} lines", seconds <= MOST_SCRAPE)


def _pool(providers: int) -> Pool:
    upstream: Any = None
    return Pool([Provider(upstream, concurrency=64, name=f"provider-{number}") for number in range(providers)])


async def _crowd(url: str, command: Command, bodies: list[bytes]) -> None:
    start = time.perf_counter()
    tasks = []
    for number, body in enumerate(bodies):
        tasks.append(asyncio.create_task(call(url, body, start=start, timeout=120.0)))
        if number % 50 == 49:
            await asyncio.sleep(0.02)
    while (await asyncio.to_thread(get, f"{url}/status"))["places"]["now"] < len(bodies):
        await asyncio.sleep(0.2)
    await asyncio.sleep(1.0)
    found, health, used = [], [], 0.0
    for _ in range(100):
        before = command.cpu()
        seconds, size = await asyncio.to_thread(scrape, url)
        found.append(seconds)
        used += (command.cpu() - before) / 100
        started = time.perf_counter()
        await asyncio.to_thread(get, f"{url}/health")
        health.append(time.perf_counter() - started)
    median = statistics.median(found)
    line("a scrape", f"median {median * 1e3:.1f} ms, {_late(found)}, {size / 1024:.0f} KiB", median <= MOST_SCRAPE)
    line("GET /health in turns with it", f"median {statistics.median(health) * 1e3:.1f} ms, {_late(health)}")
    line("CPU of a scrape, which the loop is held for", f"{used * 1e3:.1f} ms", used <= MOST_SCRAPE)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scenes", nargs="*", metavar="cost|scrape")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--callers", type=int, default=5000)
    options = parser.parse_args()
    scenes = options.scenes or ["cost", "scrape"]
    if "cost" in scenes:
        cost(rounds=options.rounds, requests=options.requests)
    if "scrape" in scenes:
        waiting(options.callers)
        large(10)


if __name__ == "__main__":
    main()
