"""Crowding: errors by which a provider or its gateway sheds calls that it has no room for, in no words of a refusal.

A gateway before a busy server answers 502 or 504, a server without a free place 500 or a closed connection. Such an
error means a want of room where the provider plainly lives: it answered another call meanwhile, or works on one.
"""

from typing import Final

from sidecar.core.errors import UpstreamError, UpstreamFailure, UpstreamUnreachable

STATUSES: Final = frozenset({500, 502, 504, 520, 521, 522, 523, 524})
"""Statuses of a gateway without a free server, and of a server that fails under load; 520 to 524 are Cloudflare's."""
TIMED_OUT: Final = frozenset({504, 522, 524})
"""Statuses of a gateway that waited for a free server, so that they mean a want of room however late they come."""
AT_ONCE: Final = 0.25
"""Seconds within which a gateway's error, or the end of a connection, came before any work that costs."""
AT_ONCE_INSIDE: Final = 0.1
"""The same for a 500, which a server may also answer after the call was paid for."""
RETRIES: Final = 4
"""Retries of one call after such errors, at most: the text itself may be what makes the server fail."""


def crowded(failure: UpstreamFailure) -> bool:
    """Return whether a provider that lives may have failed in this way for want of room."""
    if isinstance(failure, UpstreamUnreachable):
        return True
    return type(failure) is UpstreamError and failure.scope == "provider" and failure.status in STATUSES


def unworked(failure: UpstreamFailure, seconds: float) -> bool:
    """Return whether a failure came after so few `seconds` that nothing was worked on."""
    return failure.unsent or seconds <= (AT_ONCE_INSIDE if failure.status == 500 else AT_ONCE)


def waited_for_room(failure: UpstreamFailure) -> bool:
    """Return whether a gateway says that no server became free in time."""
    return failure.status in TIMED_OUT
