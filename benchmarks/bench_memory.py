"""Memory of the sidecar at rest and while callers wait: whole, and a waiting caller.

    python benchmarks/bench_memory.py [--callers 2000] [--size 1000]

Each caller has a connection of its own, as PHP's have, and waits for a slot or for the provider, which is silent.
"""

import argparse
import asyncio
import time

from rig import Command, call, chats, demo_upstream, get, line, post, run_burst, sidecar

MOST_AT_REST = 48 * 1e6 / 2**20
"""MiB at rest, at most."""
MOST_IN_FLIGHT = 110 * 1e6 / 2**20
"""MiB with 2,000 callers, at most."""
MOST_EACH = 12.0
"""KiB a waiting caller, at most."""


async def crowd(url: str, command: Command, bodies: list[bytes]) -> float:
    """Return the MiB resident while all wait."""
    start = time.perf_counter()
    tasks = []
    for number, body in enumerate(bodies):
        tasks.append(asyncio.create_task(call(url, body, start=start, timeout=120.0)))
        if number % 50 == 49:
            await asyncio.sleep(0.02)
    while (await asyncio.to_thread(get, f"{url}/status"))["places"]["now"] < len(bodies):
        await asyncio.sleep(0.2)
    await asyncio.sleep(1.0)
    found = command.memory()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--callers", type=int, default=2000)
    parser.add_argument("--size", type=int, default=1000)
    options = parser.parse_args()
    words = ("--queue-size", str(options.callers + 100), "--request-timeout", "120")
    with demo_upstream() as upstream, sidecar(upstream, *words) as (url, command):
        run_burst(url, chats(100))
        time.sleep(1.0)
        rest = command.memory()
        line("at rest, after 100 requests", f"{rest:.1f} MiB", rest <= MOST_AT_REST)
        post(f"{upstream}/demo/behave", {"stall": 1})
        found = asyncio.run(crowd(url, command, chats(options.callers, size=options.size)))
        each = (found - rest) * 1024 / options.callers
        line(f"{options.callers} callers, {options.size} bytes each", f"{found:.1f} MiB", found <= MOST_IN_FLIGHT)
        line("a waiting caller", f"{each:.1f} KiB", each <= MOST_EACH)


if __name__ == "__main__":
    main()
