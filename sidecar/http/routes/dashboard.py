"""The routes of the dashboard: its page, which holds no data and is open, and its events, guarded like /status."""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Final

from aiohttp import web

from sidecar.http.dashboard.feed import Feed, Page
from sidecar.http.dashboard.page import load
from sidecar.http.request import Arrival
from sidecar.http.responses.envelope import COMMON, REQUEST_ID
from sidecar.http.responses.event_stream import HEADERS
from sidecar.http.router import Route

NAME: Final = "dashboard"
STUCK_SECONDS: Final = 10.0
"""Time that a page has to take an event once its buffers are full."""
SEND_BUFFER: Final = 64 * 1024
"""Bytes that the kernel holds for one page: a page that does not read is noticed within a minute."""


def page_route() -> Route:
    """Return the route of the page. The file is read once, here, so that a request does no I/O."""
    page = load()

    async def get(_request: Arrival) -> web.Response:
        return web.Response(body=page.body, headers=COMMON | page.headers)

    return Route(NAME, {"GET": get, "HEAD": get})


def events_route(feed: Feed, check: Callable[[Arrival], None]) -> Route:
    """Return the route of the events; `check` raises `Unauthorized` for callers that may not see them."""

    async def get(request: Arrival) -> web.StreamResponse:
        check(request)
        page = feed.open()
        try:
            return await _send(request, page)
        finally:
            feed.close(page)

    return Route(NAME, {"GET": get})


async def _send(request: Arrival, page: Page) -> web.StreamResponse:
    """Send each event of `page` until its end; a caller that takes none within `STUCK_SECONDS` is cut off."""
    _bound_buffer(request)
    response = web.StreamResponse(headers=HEADERS)
    response.headers[REQUEST_ID] = request.request_id
    response.force_close()
    await response.prepare(request)
    try:
        while event := await page.next():
            async with asyncio.timeout(STUCK_SECONDS):
                await response.write(event)
    except TimeoutError as exc:
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError from exc
    return response


def _bound_buffer(request: Arrival) -> None:
    sock = None if request.transport is None else request.transport.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
