"""The table of HTTP statuses by a failure's code (CONTRACT, "POST /ai")."""

import math
from collections.abc import Mapping
from typing import Final, NamedTuple


class Status(NamedTuple):
    """A code's status: lenient for callers that take an error status for a dead transport, strict for all others."""

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
    "limited": Status(200, 429),
    "upstream_auth": Status(200, 502),
    "upstream_error": Status(200, 502),
    "upstream_unreachable": Status(200, 502),
    "empty_response": Status(200, 502),
    "shutting_down": Status(200, 503),
    "internal": Status(200, 500),
    "jobs_unavailable": Status(503, 503),
    # The HTTP layer's own, which STRICT_STATUS does not change.
    "bad_request": Status(400, 400),
    "http_version": Status(505, 505),
    "wrong_host": Status(421, 421),
    "not_found": Status(404, 404),
    "method_not_allowed": Status(405, 405),
    "request_timeout": Status(408, 408),
}

MAX_RETRY_AFTER: Final = 60
"""Seconds; a longer wait would outlast what is known of the load."""
LONGEST_DAY: Final = 25 * 3600
"""Seconds; a limit of the site is exact, and may end with the day, which has 25 hours when summer time ends."""


def status_of(code: str | None, *, strict: bool) -> int:
    """Return the status of a reply with `code`; None is success. An unknown code counts as internal."""
    if code is None:
        return 200
    status = STATUSES.get(code, STATUSES["internal"])
    return status.strict if strict else status.lenient


def retry_after(code: str | None, seconds: float | None) -> int | None:
    """Return the value of Retry-After in whole seconds, 1 to 60, to a day for `limited`; None for no header."""
    if seconds is None:
        return 1 if code == "overloaded" else None
    return max(1, math.ceil(min(seconds, LONGEST_DAY if code == "limited" else MAX_RETRY_AFTER)))
