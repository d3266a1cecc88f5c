"""Output in the order of the lines: each reply is written as soon as all before it are."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final

from sidecar.batch.journal import Journal, JournalError, Record, numbered
from sidecar.core.errors import SidecarError

ANSWERED: Final = "answered"
WRONG: Final = "wrong lines"
_MOST_WAITING: Final = 10_000
"""Lines that may wait for the reply to an earlier line; at this bound no more lines are taken."""


class Stream:
    """Writer of the replies in `journal`, in the order of the lines; `put` writes bytes to the output."""

    def __init__(self, journal: Journal, put: Callable[[bytes], Awaitable[None]]) -> None:
        self.counts: Counter[str] = Counter()
        """Written replies, by outcome."""
        self._journal = journal
        self._put = put
        self._order: asyncio.Queue[tuple[int, bytes | SidecarError]] = asyncio.Queue(_MOST_WAITING)
        self._changed = asyncio.Event()
        self._ended = False

    async def expect(self, line: int, expected: bytes | SidecarError) -> None:
        """Add the next line: its number, and its request's id or its fault."""
        await self._order.put((line, expected))

    def reply_added(self) -> None:
        """Look again for the awaited reply, since the journal has a new one."""
        self._changed.set()

    async def flow(self) -> None:
        """Write replies in order until cancelled; raise `JournalError` if a reply cannot be written."""
        torn = False
        while True:
            line, expected = await self._order.get()
            record = wrong(expected) if isinstance(expected, SidecarError) else await self._found(expected)
            torn = torn or record is None  # the output ends at the first gap
            if record is not None and not torn:
                try:
                    await self._put(numbered(line, record))
                except OSError as exc:
                    raise JournalError(f"The replies cannot be written: {exc.strerror or exc}.") from exc
                self.counts[outcome(record)] += 1
            self._order.task_done()

    async def _found(self, name: bytes) -> Record | None:
        """Wait for the reply to `name`; None if it is missing at the end."""
        while True:
            self._changed.clear()
            if (record := self._journal.find(name)) is not None or self._ended:
                return record
            await self._changed.wait()

    async def end(self) -> None:
        """Mark the end of replies, and wait until every reply that can be written is."""
        self._ended = True
        self._changed.set()
        await self._order.join()


def outcome(record: Record) -> str:
    """Return a line's outcome: `ANSWERED`, `WRONG`, or a failure's code."""
    return WRONG if not record.id else record.code or ANSWERED


def wrong(error: SidecarError) -> Record:
    """Return the reply to a line that is no request."""
    return Record(success=False, error=str(error), code=error.code)
