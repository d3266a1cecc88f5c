"""CPU of ten open dashboards beside a server that nobody looks at, and of a request with and without its counting.

Usage: bench_dashboard.py [--seconds 30] [--pages 10]
"""

import argparse
import asyncio
import time
from contextlib import AsyncExitStack
from typing import Any

from rig import Command, demo_upstream, line, sidecar

from sidecar.core.observations import RequestEnd
from sidecar.engine.history.refused_users import RefusedUsers
from sidecar.engine.statistics import Statistics

MOST = 0.01
"""Share of a core."""
ENDS = 200_000


async def follow(url: str, stack: AsyncExitStack) -> None:
    """Open a page and read it until the stack is closed."""
    host, _, port = url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=2**22)
    stack.callback(writer.close)
    writer.write(b"GET /dashboard/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    await reader.readuntil(b"event: now")

    async def read() -> None:
        while await reader.read(65536):
            pass

    task = asyncio.create_task(read())
    stack.callback(task.cancel)


async def share(url: str, command: Command, pages: int, seconds: float) -> float:
    """Return the share of a core that the server uses while so many pages are open."""
    async with AsyncExitStack() as stack:
        for _ in range(pages):
            await follow(url, stack)
        await asyncio.sleep(1)
        before, started = command.cpu(), time.monotonic()
        await asyncio.sleep(seconds)
        return (command.cpu() - before) / (time.monotonic() - started)


def counting(*observers: Any) -> float:
    """Return the microseconds that these observers take for one answered request."""
    end = RequestEnd(request_id="r", route="ai", code="ok", action="chat", user="17", calls=1, seconds=0.5)
    started = time.process_time()
    for _ in range(ENDS):
        for observer in observers:
            observer.request_ended(end)
    return (time.process_time() - started) / ENDS * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--pages", type=int, default=10)
    flags = parser.parse_args()
    with demo_upstream() as upstream, sidecar(upstream) as (url, command):
        rest = asyncio.run(share(url, command, 0, flags.seconds))
        watched = asyncio.run(share(url, command, flags.pages, flags.seconds))
    line("CPU without a page, share of a core", f"{rest:.2%}")
    line(f"CPU with {flags.pages} pages", f"{watched:.2%}", watched < MOST)
    statistics = Statistics()
    line("counting one answered request, without the dashboard", f"{counting(statistics):.2f} us")
    line("the same with it", f"{counting(statistics, RefusedUsers()):.2f} us")


if __name__ == "__main__":
    main()
