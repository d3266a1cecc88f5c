"""Errors in OpenAI's shape, with a status that leads Moodle to its next provider.

Moodle reads `error.message` of every response but 200, breaks if that is missing, and goes to its next provider after
429 and 5xx. `x-should-retry` keeps SDKs from retrying by themselves.
"""

from typing import Any, Final

import msgspec
from aiohttp import hdrs, web

from sidecar.core.errors import Overloaded, SidecarError
from sidecar.http.responses.envelope import headers_of, json_response
from sidecar.http.responses.statuses import retry_after, status_of
from sidecar.http.schemas.completions import WrongField

_TYPES: Final = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}
_MODEL: Final = "model_not_found"


class NoModel(WrongField):
    """A model that is not served here."""

    code = "not_found"

    sentence = "There is no such model here."

    def __init__(self, served: str = "") -> None:
        super().__init__("model", f"{self.sentence} Answers come from {served}." if served else None)


def refuse(error: SidecarError) -> web.Response:
    """Return the response that carries `error`."""
    status = _status(error)
    response = json_response(msgspec.json.encode(shape(error)), status)
    response.headers["x-should-retry"] = "false"
    response.headers.update(headers_of(error))
    if (wait := retry_after(error.code, error.retry_after)) is not None or status == 429:
        response.headers[hdrs.RETRY_AFTER] = str(wait or 1)
    return response


def shape(error: SidecarError) -> dict[str, Any]:
    """Return `error` in OpenAI's shape."""
    status = _status(error)
    return {
        "error": {
            "message": str(error),
            "type": _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error"),
            "param": (error.param or None) if isinstance(error, WrongField) else None,
            "code": _MODEL if isinstance(error, NoModel) else error.code,
        }
    }


def _status(error: SidecarError) -> int:
    # Overload is 503 on /ai and 429 here: it shows a caller with several providers that the cause is load.
    return 429 if isinstance(error, Overloaded) else status_of(error.code, strict=True)
