"""Layer 3, flights: the same work asked for by several becomes one, and finished work is kept for a while.

A flight owns its task. Each waiter waits under his own deadline; the flight has the latest of them. The last one
to leave removes the flight first and cancels it then, so that a newcomer starts a new one.

Written out because waiters have deadlines of their own and come and go: in cashews one cancelled waiter cancels all
(findings/cashews-one-cancel-hits-all.sh).
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final

from sidecar.core.errors import ShuttingDown, UpstreamFailure
from sidecar.engine.deadline import Latest, Point

MOST_READERS: Final = 4096
"""Users remembered for one kept answer; beyond it the answer is dropped, as if its time were over."""
READER_BYTES: Final = 64
"""What remembering one of them takes, about."""


Work = Callable[[Point], Awaitable[str]]
"""Makes an answer by a deadline, which is its latest waiter's."""


class _Flight:
    __slots__ = ("deadline", "task", "waiters")

    def __init__(self, task: asyncio.Task[str], deadline: Latest) -> None:
        self.task = task
        self.deadline = deadline
        self.waiters = 0


class _Kept:
    __slots__ = ("expires", "readers", "size", "text")

    def __init__(self, text: str, expires: float, size: int) -> None:
        self.text = text
        self.expires = expires
        self.size = size
        self.readers: set[int] = set()
        """Who had it, by hash: names may be long."""


class AnswerCache:
    """Finished answers by key: at most `size` bytes, each for `ttl` seconds, the least recently used dropped first."""

    def __init__(self, *, ttl: float, size: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.size = size
        self.held = 0
        """Bytes kept now."""
        self._ttl = ttl
        self._clock = clock
        self._entries: OrderedDict[bytes, _Kept] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: bytes, reader: str) -> str | None:
        """The answer kept under `key`; None where there is none, or where `reader` had it already and asks again."""
        entry = self._entries.get(key)
        if entry is None or hash(reader) in entry.readers:
            return None
        if entry.expires <= self._clock() or len(entry.readers) >= MOST_READERS:
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return entry.text

    def had(self, key: bytes, reader: str) -> bool:
        """Whether `reader` has the answer kept under `key`."""
        entry = self._entries.get(key)
        return entry is not None and entry.expires > self._clock() and hash(reader) in entry.readers

    def put(self, key: bytes, text: str) -> None:
        """Keep `text`, in the place of what was kept under `key`."""
        self._drop(key)
        # Four bytes a character at most, and what the entry itself takes.
        size = len(text.encode("utf-8", "surrogatepass")) + 512
        if self._ttl <= 0 or size > self.size:
            return
        while self._entries and self.held + size > self.size:
            self._drop(next(iter(self._entries)))
        self._entries[key] = _Kept(text, self._clock() + self._ttl, size)
        self.held += size

    def read(self, key: bytes, reader: str) -> None:
        """Remember that `reader` has the answer kept under `key`."""
        entry = self._entries.get(key)
        if not reader or entry is None or hash(reader) in entry.readers:
            return
        entry.readers.add(hash(reader))
        entry.size += READER_BYTES
        self.held += READER_BYTES

    def _drop(self, key: bytes) -> None:
        if (entry := self._entries.pop(key, None)) is not None:
            self.held -= entry.size


class SingleFlight:
    """Work under way, by key."""

    def __init__(self, kept: AnswerCache) -> None:
        self.kept = kept
        self.hits = 0
        """Answers that were found kept."""
        self.joined = 0
        """Waiters who joined work under way."""
        self._flights: dict[bytes, _Flight] = {}
        self._ending: set[asyncio.Task[str]] = set()

    def __len__(self) -> int:
        return len(self._flights)

    def __contains__(self, key: bytes) -> bool:
        """Whether work under `key` is under way."""
        return key in self._flights

    def find(self, key: bytes, reader: str = "") -> str | None:
        """The answer kept under `key`, which `reader` has from now on; None where he had it already.

        Asking again after having had an answer is asking for another one: Moodle's button "Regenerate".
        """
        if (text := self.kept.get(key, reader)) is not None:
            self.hits += 1
            self.kept.read(key, reader)
        return text

    async def share(self, key: bytes, work: Work, *, deadline: Point, reader: str = "") -> str:
        """The answer under `key`, under way or made by `work` now; it replaces a kept one.

        A failure is raised to every waiter and not kept. `reader` has the answer from then on.
        """
        flight = self._flights.get(key)
        if flight is None:
            flight = self._start(key, work)
        else:
            self.joined += 1
        text = await self._wait(key, flight, deadline)
        self.kept.read(key, reader)
        return text

    def _start(self, key: bytes, work: Work) -> _Flight:
        deadline = Latest()
        task = asyncio.create_task(self._fly(key, work, deadline), name="flight")
        flight = self._flights[key] = _Flight(task, deadline)
        return flight

    async def _fly(self, key: bytes, work: Work, deadline: Latest) -> str:
        try:
            text = await work(deadline)
            self.kept.put(key, text)
            return text
        finally:
            # Unless the last waiter removed it already, and another flight of that key is under way now.
            if (flight := self._flights.get(key)) is not None and flight.task is asyncio.current_task():
                del self._flights[key]

    async def _wait(self, key: bytes, flight: _Flight, deadline: Point) -> str:
        flight.waiters += 1
        flight.deadline.join(deadline)
        try:
            await asyncio.wait((flight.task,))
        finally:
            flight.waiters -= 1
            if flight.waiters:
                flight.deadline.leave(deadline)
            elif not flight.task.done():
                del self._flights[key]
                self._ending.add(flight.task)
                flight.task.add_done_callback(self._ended)
                flight.task.cancel()
        if flight.task.cancelled():
            raise ShuttingDown
        if isinstance(failure := flight.task.exception(), UpstreamFailure):
            raise failure.again()
        return flight.task.result()

    def _ended(self, task: asyncio.Task[str]) -> None:
        self._ending.discard(task)
        if not task.cancelled():
            task.exception()  # Nobody waits for it any more.
