"""Signs of life: each serving process writes one a second, from its event loop, and the parent reads them."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from sidecar.processes.block import ALIVE, Block

SIGN_SECONDS: Final = 1.0
STUCK_SECONDS: Final = 30.0
"""Seconds without a sign of life after which a loop stands still for good; the watchdog of the units waits as long."""


@asynccontextmanager
async def signs_of_life(block: Block, index: int) -> AsyncIterator[None]:
    """Write a sign of life a second during the block of code."""
    task = asyncio.create_task(_write(block, index), name="signs of life")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait((task,))


async def _write(block: Block, index: int) -> None:
    while True:
        block.rows[index][ALIVE] = int(time.monotonic())
        await asyncio.sleep(SIGN_SECONDS)


def silence(block: Block, index: int) -> float:
    """Return the seconds since the last sign of life; 0 for a process that has not begun to write them."""
    last = block.rows[index][ALIVE]
    return time.monotonic() - last if last else 0.0
