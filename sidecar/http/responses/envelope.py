"""HTTP responses in the sidecar's JSON envelope, and the headers that every response carries.

The status of each code is in statuses.py; the content comes from the engine and the error tree.
"""

from typing import Final

from aiohttp import hdrs, web

from sidecar.core.contract import Reply, failed, reply_body
from sidecar.core.errors import MethodNotAllowed, SidecarError, Unauthorized
from sidecar.http.responses.statuses import retry_after, status_of

REQUEST_ID: Final = "X-Request-ID"
PROVIDER: Final = "x-sidecar-provider"
"""Header with the name of the provider that answered, on /v1 and with PROVIDERS_FILE only."""

# Server is set so that the library's own, with its version and Python's, is not sent.
COMMON: Final = {
    hdrs.CONTENT_TYPE: "application/json",
    hdrs.CACHE_CONTROL: "no-store",
    "X-Content-Type-Options": "nosniff",
    hdrs.SERVER: "openai-moodle-sidecar",
}


def json_response(body: bytes | bytearray, status: int = 200) -> web.Response:
    """Return a response with `body`, which is JSON already."""
    return web.Response(body=body, status=status, headers=COMMON)


def reply_response(reply: Reply, *, strict: bool, wait: float | None = None) -> web.Response:
    """Return the response that carries `reply`; `wait` is the seconds after which a retry makes sense."""
    response = json_response(reply_body(reply), status_of(reply.code, strict=strict))
    if (seconds := retry_after(reply.code, wait)) is not None:
        response.headers[hdrs.RETRY_AFTER] = str(seconds)
    return response


def failure_response(error: SidecarError, *, strict: bool) -> web.Response:
    """Return the response that carries `error`."""
    response = reply_response(failed(error), strict=strict, wait=error.retry_after)
    response.headers.update(headers_of(error))
    return response


def headers_of(error: SidecarError) -> dict[str, str]:
    """Return the headers that HTTP requires with `error`, in the envelope and in OpenAI's shape alike."""
    if isinstance(error, Unauthorized):
        return {hdrs.WWW_AUTHENTICATE: "Bearer"}
    if isinstance(error, WrongMethod):
        return {hdrs.ALLOW: ", ".join(error.allowed)}
    return {}


class WrongMethod(MethodNotAllowed):
    """A method that the route does not support; `allowed` has those that it does."""

    def __init__(self, allowed: tuple[str, ...] = ()) -> None:
        self.allowed = allowed
        super().__init__()
