"""Clock of Redis as a worker knows it: arq compares the times of its queue with this clock and not with the machine's.

A machine's clock that is behind, or is set back, would delay jobs that Redis' clock has made due.
"""

import time
from time import time as machine_time
from typing import Final

from arq import worker


class RedisClock:
    """Time of Redis in ms, carried on by the monotonic clock; it never goes back. Before `set`, the machine's time."""

    def __init__(self) -> None:
        self._ahead: float | None = None
        """Milliseconds by which Redis' time is ahead of the monotonic clock."""

    @property
    def known(self) -> bool:
        """True once Redis told its time."""
        return self._ahead is not None

    def set(self, ms: int) -> None:
        """Take the time that Redis has now."""
        ahead = ms - time.monotonic() * 1000
        self._ahead = ahead if self._ahead is None else max(self._ahead, ahead)

    def ms(self) -> int:
        """Return Redis' time."""
        return int(machine_time() * 1000 if self._ahead is None else time.monotonic() * 1000 + self._ahead)


CLOCK: Final = RedisClock()
"""Clock of this process: like the names of arq's keys, the time is a global of arq's module."""


def adopt_clock() -> None:
    """Have arq's worker use `CLOCK`."""
    vars(worker)["timestamp_ms"] = CLOCK.ms
