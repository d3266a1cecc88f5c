"""Calls at once: slots, and the queue of calls that wait for one.

State changes have no `await`, so that check and take are one step.
"""

import asyncio
import sys
from collections import deque
from collections.abc import Callable
from typing import Final, TypeAlias

Limit: TypeAlias = Callable[[], int]
"""Returns how many calls at once are allowed now."""
UNLIMITED: Final = sys.maxsize


class Slots:
    """Slots in use; every slot taken is released exactly once.

    A limit may change with time, so it is read at every check. One call may come with a limit of its own instead of
    the common one.
    """

    def __init__(self, limit: Limit) -> None:
        self._limit = limit
        self.in_use = 0
        self.peak = 0
        self.waiting = 0
        self._line: deque[tuple[Limit, asyncio.Future[None]]] = deque()

    def take(self, own: Limit | None = None) -> bool:
        """Take a slot if one is free and the queue is empty."""
        limit = (own or self._limit)()
        if limit != UNLIMITED and (self.in_use >= limit or self.waiting):
            return False
        self._count()
        return True

    async def wait(self, own: Limit | None = None) -> None:
        """Wait in the queue for a slot; on return the slot is taken."""
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.append((own or self._limit, place))
        self.waiting += 1
        try:
            await place
        except asyncio.CancelledError:
            if place.cancelled():
                self.waiting -= 1
                self.wake()  # a call with a limit of its own may have held up calls behind it
            else:
                self.release()  # granted in the very moment the caller left: the next call gets the slot
            raise

    def release(self) -> None:
        """Release a slot to the next call in the queue."""
        self.in_use -= 1
        self.wake()

    def wake(self) -> None:
        """Admit as many calls from the queue as the limit allows now."""
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
