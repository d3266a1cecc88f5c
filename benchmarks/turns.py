"""The sidecar with a watch on its loop: the most CPU time that the process uses between two turns of the loop.

    python benchmarks/turns.py FILE [flags of the sidecar]

Keeps the longest stall in FILE, eight bytes, in seconds; whoever reads it may set it back to zero. CPU time of the
whole process, since other programs that hold the processor up are no stall of ours.
"""

import asyncio
import mmap
import struct
import sys
import time
from pathlib import Path
from typing import Any

TICK_SECONDS = 0.001


def watched(path: Path) -> None:
    """Watch the loop of every `asyncio.Runner` of this process."""
    with path.open("r+b") as file:
        shared = mmap.mmap(file.fileno(), 8)
    run = asyncio.Runner.run

    def watching(runner: asyncio.Runner, main: Any, **options: Any) -> Any:
        loop, last = runner.get_loop(), time.process_time()

        def tick() -> None:
            nonlocal last
            now = time.process_time()
            if now - last > struct.unpack("d", shared[:8])[0]:
                shared[:8] = struct.pack("d", now - last)
            last = now
            loop.call_later(TICK_SECONDS, tick)

        loop.call_soon(tick)
        return run(runner, main, **options)

    asyncio.Runner.run = watching  # type: ignore[method-assign]


if __name__ == "__main__":
    where = Path(sys.argv.pop(1))
    watched(where)
    from sidecar.cli.main import main

    sys.exit(main())
