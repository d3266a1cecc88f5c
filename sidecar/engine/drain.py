"""The drain of one engine: every deadline meets the end of the grace here."""

import asyncio
import math
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from sidecar.core.errors import DeadlineExceeded, ShuttingDown
from sidecar.core.timers import Timer, Timers
from sidecar.core.until import Until
from sidecar.engine.admission import Admission


class Drain:
    """Refuse new requests, let accepted ones end within the grace, then end them with `shutting_down`."""

    def __init__(self, admission: Admission, *, clock: Callable[[], float]) -> None:
        self._admission = admission
        self._clock = clock
        self._stop_at = math.inf
        self._running: set[Until] = set()
        self.timers: Final = Timers()
        """Timers of the deadlines: nearly every request has one for as long as it waits."""
        self._idle: asyncio.Event | None = None

    def begin(self, grace: float) -> None:
        """Close admission; accepted work has `grace` seconds to end."""
        self._admission.close()
        self._stop_at = min(self._stop_at, self._clock() + grace)
        for block in self._running:
            if block.at > self._stop_at:
                block.move(self._stop_at)

    async def emptied(self) -> None:
        """Return once no place is held and no waiter is left, joiners of flights included."""
        await self._admission.emptied()
        while self._running:
            self._idle = self._idle or asyncio.Event()
            await self._idle.wait()

    def within(self, deadline: float) -> "Within":
        """End a `with` block at `deadline` with `DeadlineExceeded`, at the end of the grace with `ShuttingDown`."""
        return Within(self, deadline)

    def entered(self, block: Until) -> float:
        """Count a block; return the end of the grace, infinity before a drain."""
        self._running.add(block)
        return self._stop_at

    def left(self, block: Until) -> float:
        """Count a block no more; return the end of the grace."""
        self._running.discard(block)
        if not self._running and self._idle is not None:
            self._idle.set()
            self._idle = None
        return self._stop_at


class Within(Until):
    """Block that ends at a deadline or with the grace."""

    __slots__ = ("_deadline", "_drain")

    def __init__(self, drain: Drain, deadline: float) -> None:
        super().__init__(deadline)
        self._drain = drain
        self._deadline = deadline

    def __enter__(self) -> Self:
        self.at = min(self._deadline, self._drain.entered(self))
        return super().__enter__()

    def _timer_at(self, at: float) -> Timer:
        return self._drain.timers.call_at(at, self._expire)

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        stop_at = self._drain.left(self)
        try:
            super().__exit__(kind, exc, tb)
            if isinstance(exc, TimeoutError):
                raise exc
        except TimeoutError as late:
            raise (ShuttingDown if stop_at < self._deadline else DeadlineExceeded) from late
