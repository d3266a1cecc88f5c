"""Finality: the failures of a text without a waiting caller, a job or a line of a batch, that another try would repeat.

One rule for both, so that the same text is not paid again here and given up there.
"""

from typing import Final

from sidecar.core.errors import EmptyResponse, SidecarError, UpstreamAuth, UpstreamFailure

_NOT_FINAL: Final = frozenset({408, 409, 425, 429})
"""Statuses of the 400s after which another try may succeed."""


def is_final(error: SidecarError) -> bool:
    """Return whether another try would fail like this one, or would be paid for like this one."""
    if isinstance(error, UpstreamAuth | EmptyResponse):
        # An empty answer was made and is paid for; so would the next one be.
        return True
    if isinstance(error, UpstreamFailure) and error.scope != "provider":
        return error.scope != "capacity"
    if isinstance(error, UpstreamFailure) and error.status is not None:
        return 400 <= error.status < 500 and error.status not in _NOT_FINAL
    return error.code in {"invalid_request", "too_large"}
