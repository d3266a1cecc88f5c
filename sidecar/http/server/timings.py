"""Times of a server's connections."""

from typing import Final

import msgspec

from sidecar.http.server.protocol import HALF_CLOSE_SECONDS, HEADER_SECONDS, IDLE_SECONDS, LINGER_SECONDS

LAST_REQUEST_SECONDS: Final = 0.5
"""Wait at the server's end for the first request of a connection, so that a late caller gets a reply."""


class Timings(msgspec.Struct, frozen=True, kw_only=True):
    """Times of a server's connections, all in seconds."""

    header_seconds: float = HEADER_SECONDS
    """Time to send complete headers."""
    idle_seconds: float = IDLE_SECONDS
    """Longest idle time of a reused connection."""
    linger_seconds: float = LINGER_SECONDS
    """Time in which the bytes of a refused caller are discarded."""
    last_request_seconds: float = LAST_REQUEST_SECONDS
    """Wait for the requests of callers that connected just before the end."""
    half_close_seconds: float = HALF_CLOSE_SECONDS
    """Time from a request in which its caller's end of sending is no leaving."""


USUAL: Final = Timings()
