"""Replies in the order of their lines, each put out as soon as those before it are. It knows nobody who makes them."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final

from sidecar.batch.journal import Journal, JournalError, Record, numbered
from sidecar.core.errors import SidecarError

ANSWERED: Final = "answered"
WRONG: Final = "wrong lines"
_MOST_WAITING: Final = 10_000
"""Lines that wait for one before them; then no more are taken."""


class Stream:
    """The replies of `journal` on their way out; `put` writes some bytes."""

    def __init__(self, journal: Journal, put: Callable[[bytes], Awaitable[None]]) -> None:
        self.counts: Counter[str] = Counter()
        """Replies put out, by outcome."""
        self._journal = journal
        self._put = put
        self._order: asyncio.Queue[tuple[int, bytes | SidecarError]] = asyncio.Queue(_MOST_WAITING)
        self._news = asyncio.Event()
        self._ended = False

    async def expect(self, line: int, asked: bytes | SidecarError) -> None:
        """The next line is this one: its request's id, or what is wrong with it."""
        await self._order.put((line, asked))

    def heard(self) -> None:
        """A reply came into the journal."""
        self._news.set()

    async def flow(self) -> None:
        """Put out what comes; never ends by itself. Raises `JournalError` where it cannot be put out."""
        torn = False
        while True:
            line, asked = await self._order.get()
            record = wrong(asked) if isinstance(asked, SidecarError) else await self._found(asked)
            torn = torn or record is None  # nothing goes out behind a gap
            if record is not None and not torn:
                try:
                    await self._put(numbered(line, record))
                except OSError as exc:
                    raise JournalError(f"The replies cannot be written: {exc.strerror or exc}.") from exc
                self.counts[outcome(record)] += 1
            self._order.task_done()

    async def _found(self, name: bytes) -> Record | None:
        """The reply as soon as there is one; None where none will come any more."""
        while True:
            self._news.clear()
            if (record := self._journal.find(name)) is not None or self._ended:
                return record
            await self._news.wait()

    async def end(self) -> None:
        """No more replies will come: return when what can be put out is out."""
        self._ended = True
        self._news.set()
        await self._order.join()


def outcome(record: Record) -> str:
    """What became of a line: a failure's code, or one of the words here."""
    return WRONG if not record.id else record.code or ANSWERED


def wrong(error: SidecarError) -> Record:
    """The reply to a line that is no request."""
    return Record(success=False, error=str(error), code=error.code)
