"""Calls at once: slots, and the line of those that wait for one.

Plain state changes without await, so that nothing can come between looking and taking.
"""

import asyncio
import sys
from collections import deque
from collections.abc import Callable
from typing import Final, TypeAlias

Limit: TypeAlias = Callable[[], int]
"""Says how many calls at once are allowed now."""
UNLIMITED: Final = sys.maxsize


class Slots:
    """Calls at work at once; every slot taken is given back exactly once.

    Limits are looked up whenever they matter, since they may change by themselves. One call may come with a limit of
    its own instead of the common one.
    """

    def __init__(self, limit: Limit) -> None:
        self._limit = limit
        self.in_use = 0
        self.peak = 0
        self.waiting = 0
        self._line: deque[tuple[Limit, asyncio.Future[None]]] = deque()

    def take(self, own: Limit | None = None) -> bool:
        """Take a slot if one is free and nobody waits for it."""
        limit = (own or self._limit)()
        if limit != UNLIMITED and (self.in_use >= limit or self.waiting):
            return False
        self._count()
        return True

    async def wait(self, own: Limit | None = None) -> None:
        """Stand in line for a slot; on return it is taken."""
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.append((own or self._limit, place))
        self.waiting += 1
        try:
            await place
        except asyncio.CancelledError:
            if place.cancelled():
                self.waiting -= 1
                self.wake()  # with a limit of its own it may have stood before calls that could go
            else:
                self.give()  # granted in the very moment the caller left: the next in line has it
            raise

    def give(self) -> None:
        """Give a slot back; the next in line gets it."""
        self.in_use -= 1
        self.wake()

    def wake(self) -> None:
        """Let in from the line as many as the limit allows now."""
        while self._line:
            limit, place = self._line[0]
            if place.done():
                self._line.popleft()
            elif self.in_use < limit():
                self._line.popleft()
                self.waiting -= 1
                self._count()
                place.set_result(None)
            else:
                return

    def _count(self) -> None:
        self.in_use += 1
        self.peak = max(self.peak, self.in_use)
