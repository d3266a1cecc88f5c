"""Check of the header Host on loopback, which keeps web pages in a browser of this machine out (DNS rebinding).

A page's own name can be made to resolve to 127.0.0.1: its requests then reach the sidecar under that name.
"""

import functools
import ipaddress
import re
from typing import Final

from aiohttp import hdrs

from sidecar.core.errors import WrongHost
from sidecar.http.auth import Guard
from sidecar.http.request import Arrival

_PORT: Final = re.compile(r"(:[0-9]{0,5})?")


class Hosts:
    """Names under which a server on loopback answers: every address, localhost, and those of ALLOWED_HOSTS."""

    def __init__(self, allowed: str, guard: Guard) -> None:
        self._names = frozenset({"localhost", *filter(None, allowed.split(","))})
        self._guard = guard

    def check(self, request: Arrival) -> None:
        """Raise `WrongHost` for a foreign name.

        A request with the sidecar's token or a named one passes under any name, since no page knows a token; so does
        one of HTTP/1.0 without a Host, which no browser sends.
        """
        host = request.headers.get(hdrs.HOST)
        if host is None or _is_address(host) or _name(host) in self._names or self._guard.knows(request):
            return
        raise WrongHost


def _name(host: str) -> str:
    """Return the name in a Host header, in lower case and without the port; blank where it is malformed."""
    name, colon, port = host.strip().lower().partition(":")
    return name.removesuffix(".") if _PORT.fullmatch(colon + port) else ""


@functools.lru_cache(maxsize=64)
def _is_address(host: str) -> bool:
    address, bracket, rest = host.strip().removeprefix("[").partition("]")
    if not bracket:
        address, colon, port = address.partition(":")
        rest = colon + port
    try:
        version = ipaddress.ip_address(address).version
    except ValueError:
        return False
    return version == (6 if bracket else 4) and _PORT.fullmatch(rest) is not None
