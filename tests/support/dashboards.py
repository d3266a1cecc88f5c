"""A dashboard's feed that tests tick by hand, and a reader of its events. No promises here."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from sidecar.engine.history.history import History
from sidecar.engine.service import Service
from sidecar.http.app import application
from sidecar.http.dashboard.feed import Feed
from sidecar.http.router import Routes
from sidecar.http.routes.dashboard import events_route, page_route
from sidecar.http.routes.ops import operators_only
from sidecar.service import service_of
from tests.support.described_replies import check_model
from tests.support.event_streams import EventReader
from tests.support.held_provider import HeldUpstream
from tests.support.http_sidecar import Caller, head, serving, settings_of

EVENTS = "/dashboard/events"


class Board(NamedTuple):
    """A server with the dashboard's routes alone."""

    address: tuple[str, int]
    feed: Feed
    service: Service

    async def call(self, *headers: str, path: str = EVENTS, method: str = "GET") -> Caller:
        """Return a new connection, on which the events were asked for."""
        caller = await Caller.connect(*self.address)
        await caller.send(head(*headers, path=path, method=method))
        return caller


@asynccontextmanager
async def board(token: str = "", *, local: bool = True, most: int = 20) -> AsyncIterator[Board]:
    service = service_of(settings_of(), HeldUpstream())
    feed = Feed(History(service), most=most)
    check = operators_only(token, local=lambda _: local)
    routes = Routes({"/dashboard": page_route(), EVENTS: events_route(feed, check)})
    # A caller that leaves at once is one that leaves.
    async with serving(application(routes, service), half_close_seconds=0) as address:
        yield Board(address, feed, service)


class Events:
    """Reader of a page's events, each of which must be as the description says."""

    def __init__(self, caller: Caller) -> None:
        self._stream = EventReader(caller)
        self.head = self._stream.head

    @property
    def ended(self) -> bool:
        return self._stream.ended

    async def next(self) -> tuple[str, Any] | None:
        """Return name and value of the next event, None at the end."""
        data = await self._stream.event()
        if data is None:
            return None
        name, _, text = data.removeprefix(b"event: ").partition(b"\n")
        value = json.loads(text)
        check_model({"past": "DashboardPast", "now": "DashboardNow"}[name.decode()], value)
        return name.decode(), value

    async def rest(self) -> list[tuple[str, Any]]:
        found = []
        while (event := await self.next()) is not None:
            found.append(event)
        return found
