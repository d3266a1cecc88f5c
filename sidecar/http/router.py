"""Routes and their lookup by path."""

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
    """Return the sidecar's envelope for `error`, with its strict status."""
    return failure_response(error, strict=True)


class Route(NamedTuple):
    """The handlers of one path, by method."""

    name: str
    """Its name in the log."""
    methods: Mapping[str, Handler]
    """Empty for a path that does not exist, but whose callers expect `refuse`'s shape."""
    refuse: Refuse = envelope
    """Builds the response to an error, in the shape that the route's callers expect."""


_LONGEST: Final = 1000
"""Characters of a path that are compared with the addresses there are."""
NOT_FOUND: Final = Route("http", {})


class Routes:
    """Routes by path. In a path `{name}` stands for any text; where several match, the first one counts."""

    def __init__(self, routes: Mapping[str, Route]) -> None:
        self._routes = routes
        self._patterns = [(_pattern(path), path) for path in routes if "{" in path]

    def __iter__(self) -> Iterator[tuple[str, Route]]:
        return iter(self._routes.items())

    def find(self, path: str) -> Route:
        """Return the route at `path`, or `NOT_FOUND`."""
        route = self._routes.get(path)
        return route if route is not None else self.match(path)[1]

    def match(self, path: str) -> tuple[str, Route]:
        """Return the route at `path` with its own path, placeholders included; `NOT_FOUND` has a blank one."""
        route = self._routes.get(path)
        if route is not None:
            return path, route
        found = ((shape, self._routes[shape]) for pattern, shape in self._patterns if pattern.fullmatch(path))
        return next(found, ("", NOT_FOUND))

    def meant(self, path: str) -> str:
        """Return the address that a slip in a base URL made of `path`: a slash at the end, `/v1` twice or missing."""
        plain = re.sub("/{2,}", "/", path[:_LONGEST]).rstrip("/")
        while "/v1/v1/" in plain:
            plain = plain.replace("/v1/v1/", "/v1/")
        found = (one for one in (plain, f"/v1{plain}", plain.removeprefix("/v1")) if one in self._routes)
        return next((one for one in found if self._routes[one].methods and "{" not in one), "")


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\{\w+\\}", ".*", re.escape(path)), re.DOTALL)
