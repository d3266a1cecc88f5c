"""Numbers of all processes together: admission's, for the parent's pages, and those that the parent publishes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from sidecar.core import events
from sidecar.engine.admission import Admission
from sidecar.engine.readiness import Check, provider_check
from sidecar.engine.service import Service
from sidecar.processes.block import (
    BULK,
    BYTES,
    DRAIN_RATE,
    DURATION,
    HELD,
    PAUSED_UNTIL,
    PENDING,
    PROVIDER,
    WAITING,
    Block,
)

PUBLISH_SECONDS: Final = 0.1
"""Seconds between two publications: what a process says of the queue's length is that old at most."""
_CHECKS: Final[tuple[Check, ...]] = ("ok", "partly", "down")


class WholeAdmission(Admission):
    """Admission as the parent shows it: what all serving processes hold together."""

    def __init__(self, block: Block, *, places: int, size: int) -> None:
        super().__init__(places=places, size=size)
        self._block = block

    def refresh(self) -> None:
        """Read the numbers anew."""
        total = self._block.total
        self.held, self.held_bytes, self.pending, self.bulk = (total(at) for at in (HELD, BYTES, PENDING, BULK))


@asynccontextmanager
async def publishing(service: Service, admission: WholeAdmission, block: Block) -> AsyncIterator[None]:
    """Keep the block's first row and the admission's numbers up to date during the block of code."""
    task = asyncio.create_task(_publish(service, admission, block), name="publishing")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait((task,))


async def _publish(service: Service, admission: WholeAdmission, block: Block) -> None:
    calls = service.kernel.calls
    while True:
        try:
            admission.refresh()
            block.published[PAUSED_UNTIL] = calls.clock() + calls.limit.pause
            block.published[DRAIN_RATE] = calls.drain_rate
            block.published[WAITING], block.published[DURATION] = calls.gate.waiting, calls.limit.duration
            block.published[PROVIDER] = _CHECKS.index(provider_check(service))
        except Exception as exc:  # noqa: BLE001 - the task's outermost: old numbers are better than none
            events.fault("internal", exc)
        await asyncio.sleep(PUBLISH_SECONDS)


def published_check(block: Block) -> Check:
    """Return the state of the providers, as the parent published it."""
    return _CHECKS[int(block.published[PROVIDER])]
