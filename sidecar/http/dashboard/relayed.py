"""Feed of one of several serving processes: the events come from the parent, for each page anew."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from sidecar.core.errors import SidecarError
from sidecar.http.dashboard.feed import Feed, Page


class RelayedFeed(Feed):
    """Gives each page the events that `source` yields for it."""

    def __init__(self, source: Callable[[], AsyncIterator[bytes]]) -> None:
        self._source = source
        self._reading: dict[Page, asyncio.Task[None]] = {}
        self._ended = False

    def open(self) -> Page:
        """Return a page; where the parent has too many of them, the page ends at once."""
        page = Page()
        if self._ended:
            page.end()
        else:
            self._reading[page] = asyncio.create_task(self._read(page), name="dashboard page")
        return page

    async def _read(self, page: Page) -> None:
        try:
            async for event in self._source():
                page.offer(event)
        except (SidecarError, ConnectionError):
            return  # the page tries again by itself
        finally:
            page.end()

    def close(self, page: Page) -> None:
        """Forget a page."""
        if (task := self._reading.pop(page, None)) is not None:
            task.cancel()

    def end(self) -> None:
        """End every page."""
        self._ended = True
        for page in list(self._reading):
            self.close(page)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """End what is read after the block."""
        try:
            yield
        finally:
            self.end()
