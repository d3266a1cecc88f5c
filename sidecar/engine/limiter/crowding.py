"""Crowding: errors by which a provider or its gateway sheds calls that it has no room for, in no words of a refusal.

A gateway before a busy server answers 502 or 504, a server without a free place 500 or a closed connection. Such an
error means a want of room where the provider plainly lives: it answered another call meanwhile, or works on one.
"""

from typing import Final

from sidecar.core.errors import UpstreamError, UpstreamFailure, UpstreamUnreachable

STATUSES: Final = frozenset({500, 502, 504, 520, 521, 522, 523, 524})
"""Statuses of a gateway without a free server, and of a server that fails under load; 520 to 524 are Cloudflare's."""
AT_ONCE: Final = 0.5
"""Seconds within which a gateway's error, or the end of a connection, came before any work that costs: a round trip and
some slack of a busy machine."""
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


def of_gateway(failure: UpstreamFailure) -> bool:
    """Return whether a failure means a want of room however late it comes; a late 500 may be the text's fault."""
    return failure.status != 500
