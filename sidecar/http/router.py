"""What is behind an address, and how an address is looked up. No handler lives here."""

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Final, NamedTuple

from aiohttp import web

from sidecar.core.errors import SidecarError
from sidecar.http.request import Arrival
from sidecar.http.responses.envelope import failure_response

Handler = Callable[[Arrival], Awaitable[web.StreamResponse]]
Refuse = Callable[[SidecarError], web.Response]


def envelope(error: SidecarError) -> web.Response:
    """The plain refusal: our envelope, with a status that tells the truth."""
    return failure_response(error, strict=True)


class Route(NamedTuple):
    """What is behind one address."""

    name: str
    """As the log calls it."""
    methods: Mapping[str, Handler]
    """Nothing here is an address that does not exist, but whose callers expect `refuse`'s shape."""
    refuse: Refuse = envelope
    """How this door says no; doors whose callers expect another shape bring their own."""


NOWHERE: Final = Route("http", {})


class Routes:
    """Doors by path. In a path `{name}` stands for any text; where several fit, the first one counts."""

    def __init__(self, doors: Mapping[str, Route]) -> None:
        self._doors = doors
        self._open = [(_pattern(path), door) for path, door in doors.items() if "{" in path]

    def __iter__(self) -> Iterator[tuple[str, Route]]:
        return iter(self._doors.items())

    def find(self, path: str) -> Route:
        """The door at `path`, or `NOWHERE`."""
        door = self._doors.get(path)
        if door is not None:
            return door
        return next((door for pattern, door in self._open if pattern.fullmatch(path)), NOWHERE)


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\{\w+\\}", ".*", re.escape(path)), re.DOTALL)
