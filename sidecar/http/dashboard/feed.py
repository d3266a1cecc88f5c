"""Feed of the dashboard: one snapshot a second, encoded once for all open pages, while the server runs.

A page has room for one event. A page that does not read loses events, and never holds up another one.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from sidecar.core import events
from sidecar.core.errors import Overloaded
from sidecar.engine.history.history import History

MOST_PAGES: Final = 20
"""Pages open at once."""
TICK_SECONDS: Final = 1.0
_FULL: Final = "Too many dashboards are open. Please close one."


class Page:
    """The events that one open page still has to get."""

    def __init__(self) -> None:
        self._event = b""
        self._ended = False
        self._changed = asyncio.Event()

    def offer(self, event: bytes) -> None:
        """Replace the event that the page has not taken yet."""
        self._event = event
        self._changed.set()

    def end(self) -> None:
        """End the feed after the event that waits, if there is one."""
        self._ended = True
        self._changed.set()

    async def next(self) -> bytes:
        """Return the next event; blank at the end."""
        await self._changed.wait()
        event, self._event = self._event, b""
        if not self._ended:
            self._changed.clear()
        return event


class Feed:
    """Reads the history once a second, and gives what it shows to at most `most` pages."""

    def __init__(self, history: History, *, most: int = MOST_PAGES) -> None:
        self._history = history
        self._most = most
        self._ended = False
        self._first = b""
        """First events of pages that are opened before the next tick."""
        self.pages: set[Page] = set()
        """Open pages."""

    def open(self) -> Page:
        """Return a page that begins with the past and the present; raises `Overloaded` where too many are open."""
        if len(self.pages) >= self._most:
            raise Overloaded(_FULL, retry_after=60)
        page = Page()
        self._first = self._first or _event("past", self._history.past()) + self._now()
        page.offer(self._first)
        if self._ended:
            page.end()
        else:
            self.pages.add(page)
        return page

    def close(self, page: Page) -> None:
        """Forget a page."""
        self.pages.discard(page)

    def end(self) -> None:
        """End every page after a last event, and each later one after its first."""
        self._ended, self._first = True, b""
        self._publish()
        while self.pages:
            self.pages.pop().end()

    def tick(self) -> None:
        """Take a sample, and give the snapshot to the open pages."""
        self._history.tick()
        self._first = b""
        self._publish()

    def _publish(self) -> None:
        if self.pages:
            event = self._now()
            for page in self.pages:
                page.offer(event)

    def _now(self) -> bytes:
        return _event("now", self._history.snapshot())

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Tick once a second while the block lasts."""
        task = asyncio.create_task(self._run(), name="dashboard feed")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait((task,))

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due = max(due + TICK_SECONDS, loop.time())
            await asyncio.sleep(due - loop.time())
            try:
                self.tick()
            except Exception as exc:  # noqa: BLE001 - the task's outermost: a fault in one tick must not end all later ones
                events.fault("internal", exc)


def _event(name: str, value: object) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), msgspec.json.encode(value))
