"""The drain of one engine: every deadline meets the end of the grace here."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from sidecar.core.errors import DeadlineExceeded, ShuttingDown
from sidecar.engine.admission import Admission


class Drain:
    """Refuse new requests, let accepted ones end within the grace, then end them with `shutting_down`."""

    def __init__(self, admission: Admission, *, clock: Callable[[], float]) -> None:
        self._admission = admission
        self._clock = clock
        self._stop_at = math.inf
        self._running: set[asyncio.Timeout] = set()
        self._idle: asyncio.Event | None = None

    def begin(self, grace: float) -> None:
        """Close admission; accepted work has `grace` seconds to end."""
        self._admission.close()
        self._stop_at = min(self._stop_at, self._clock() + grace)
        for timeout in self._running:
            if (when := timeout.when()) is None or when > self._stop_at:
                timeout.reschedule(self._stop_at)

    async def emptied(self) -> None:
        """Return once no place is held and no waiter is left, joiners of flights included."""
        await self._admission.emptied()
        while self._running:
            self._idle = self._idle or asyncio.Event()
            await self._idle.wait()

    @asynccontextmanager
    async def within(self, deadline: float) -> AsyncIterator[None]:
        """End the block at `deadline` with `DeadlineExceeded`, at the end of the grace with `ShuttingDown`."""
        try:
            async with asyncio.timeout_at(min(deadline, self._stop_at)) as timeout:
                self._running.add(timeout)
                try:
                    yield
                finally:
                    self._running.discard(timeout)
                    if not self._running and self._idle is not None:
                        self._idle.set()
                        self._idle = None
        except TimeoutError as exc:
            raise (ShuttingDown if self._stop_at < deadline else DeadlineExceeded) from exc
