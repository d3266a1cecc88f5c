"""The one table from a failure's code to the HTTP status it travels with (CONTRACT, "POST /ai").

No response is built here.
"""

import math
from collections.abc import Mapping
from typing import Final, NamedTuple


class Status(NamedTuple):
    """A code's status for callers who take any error status for a dead transport, and for all others."""

    lenient: int
    strict: int


STATUSES: Final[Mapping[str, Status]] = {
    "invalid_json": Status(400, 400),
    "invalid_request": Status(200, 400),
    "unsupported_media_type": Status(415, 415),
    "too_large": Status(413, 413),
    "unauthorized": Status(401, 401),
    "unknown_action": Status(200, 400),
    "overloaded": Status(200, 503),
    "timeout": Status(200, 504),
    "rate_limited": Status(200, 429),
    "upstream_auth": Status(200, 502),
    "upstream_error": Status(200, 502),
    "upstream_unreachable": Status(200, 502),
    "empty_response": Status(200, 502),
    "shutting_down": Status(200, 503),
    "internal": Status(200, 500),
    "jobs_unavailable": Status(503, 503),
    # Said by the HTTP layer itself, whatever STRICT_STATUS says.
    "bad_request": Status(400, 400),
    "not_found": Status(404, 404),
    "method_not_allowed": Status(405, 405),
    "request_timeout": Status(408, 408),
}

MAX_RETRY_AFTER: Final = 60
"""Seconds; a longer wait told to a caller would outlive what we know of the load."""


def status_of(code: str | None, *, strict: bool) -> int:
    """The status of a reply with `code`; None is success. An unknown code is a fault of ours."""
    if code is None:
        return 200
    status = STATUSES.get(code, STATUSES["internal"])
    return status.strict if strict else status.lenient


def retry_after(code: str | None, seconds: float | None) -> int | None:
    """What the header Retry-After says, in whole seconds from 1 to 60; None where it says nothing."""
    if seconds is None:
        return 1 if code == "overloaded" else None
    return max(1, math.ceil(min(seconds, MAX_RETRY_AFTER)))
