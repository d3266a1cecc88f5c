"""The route GET /openapi.json: the interface's description, as the package ships it."""

from pathlib import Path
from typing import Final

from aiohttp import web

from sidecar.http.request import Arrival
from sidecar.http.responses.envelope import json_response
from sidecar.http.router import Route

_FILE: Final = Path(__file__).parents[1] / "openapi" / "openapi.json"


def description_route() -> Route:
    """Return the route. The file is read once, here, so that a request does no I/O.

    No token is asked for (CONTRACT): the description holds what the repository shows to everybody, and nothing of this
    server's settings.
    """
    described = _FILE.read_bytes()

    async def get(_request: Arrival) -> web.Response:
        return json_response(described)

    return Route("description", {"GET": get, "HEAD": get})
