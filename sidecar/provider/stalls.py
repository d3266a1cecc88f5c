"""Stalls of our own event loop while connections are opened: such time is not the provider's.

A loop that stands still hears of a connection too late, and its limit in seconds runs out at a provider that is up.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Final

STALLED_SECONDS: Final = 1.0
"""Seconds of stalls during an attempt to connect from which its limit says nothing about the provider."""
_TICK_SECONDS: Final = 0.1
_LATE_SECONDS: Final = 0.05
"""Seconds by which a timer is late in a loop that is merely busy."""


class Stalls:
    """Counts the seconds for which the running loop stands still, for as long as anybody watches."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._watching = 0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Watch the loop until `end`."""
        self._watching += 1
        if self._timer is None:
            self._arm()

    def end(self) -> None:
        """Stop to watch, once for each `begin`."""
        self._watching -= 1
        if not self._watching and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Watch the loop for the block."""
        self.begin()
        try:
            yield
        finally:
            self.end()

    def _arm(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + _TICK_SECONDS
        self._timer = loop.call_at(due, self._tick, loop, due)

    def _tick(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        if (late := loop.time() - due) > _LATE_SECONDS:
            self.seconds += late
        self._arm()
