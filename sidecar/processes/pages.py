"""The serving process's end: pages about all processes, which the parent makes."""

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Final

import msgspec

from sidecar.processes.link import Link
from sidecar.processes.messages import FeedMessage, Page, PageMessage, decoder_of

_page: Final[msgspec.msgpack.Decoder[Page]] = decoder_of(Page)


class RelayedPages:
    """Pages about all processes, which the parent makes."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def count_connections(self, count: Callable[[], int]) -> None:
        """Publish nothing: the shared block has the number."""

    async def page(self, accept: str, *, exemplars: bool = False) -> tuple[str, bytes]:
        """Return content type and body of /metrics."""
        sane = accept.encode("ascii", "replace").decode()
        page = await self._link.request(PageMessage("metrics", sane, exemplars), _page)
        return page.kind, page.body

    async def status(self) -> bytes:
        """Return the body of /status."""
        return (await self._link.request(PageMessage("status"), _page)).body

    async def events(self) -> AsyncIterator[bytes]:
        """Yield the dashboard's events."""
        async with aclosing(self._link.stream(FeedMessage())) as events:
            async for event in events:
                yield event
