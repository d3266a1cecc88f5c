"""The demo provider's errors in OpenAI's shape: status, type, code, sentence and headers. Limits are in voices.py.

Source of types and codes: OpenAI's guide to error codes and answers of its API; the sentences are ours, except
where clients are known to look for a phrase. No I/O here.
"""

import math
from email.utils import formatdate
from typing import Final

import msgspec

from sidecar.demo.options import Options

_BY_STATUS: Final[dict[int, tuple[str, str | None, str]]] = {
    400: ("invalid_request_error", None, "The request could not be understood."),
    401: ("invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    403: ("request_forbidden", "unsupported_country_region_territory", "This region is not served."),
    404: ("invalid_request_error", "model_not_found", "The model does not exist or you have no access to it."),
    408: ("server_error", "timeout", "The request took too long to arrive."),
    429: ("requests", "rate_limit_exceeded", "Rate limit reached. Please try again later."),
    498: ("capacity_exceeded", "capacity_exceeded", "Flex tier capacity exceeded, please try again later."),
    500: ("server_error", None, "The server had an error while processing your request."),
    502: ("server_error", None, "Bad gateway."),
    503: ("server_error", "service_unavailable", "The engine is currently overloaded, please try again later."),
    504: ("server_error", "timeout", "The request timed out in the server."),
    529: ("overloaded_error", "overloaded", "Overloaded: too many calls from everybody."),
}


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """One error answer, and the name that it is counted under."""

    outcome: str
    status: int
    type: str
    message: str
    code: str | None = None
    param: str | None = None
    wait: float | None = None
    """Seconds after which it may be worth another try; None where no `Retry-After` belongs."""
    headers: dict[str, str] = {}
    content: tuple[str, bytes] | None = None
    """Content type and body where they differ from OpenAI's."""
    nameless: bool = False
    """True for an answer without even the request's id among its headers."""

    def body(self) -> tuple[str, bytes]:
        """Return content type and body."""
        error = {"message": self.message, "type": self.type, "param": self.param, "code": self.code}
        return self.content or ("application/json", msgspec.json.encode({"error": error}))


def failed(status: int, options: Options) -> Refusal:
    """Return a failure that was ordered by `fail`, `status` or `fail_first`."""
    kind, code, message = _BY_STATUS.get(status, ("server_error", None, f"The demo was told to say {status}."))
    wait = None if options.retry_after is None else 1.0
    return Refusal(outcome="failed", status=status, type=kind, code=code, message=message, wait=wait)


def invalid(message: str, *, status: int = 400, code: str | None = None, param: str | None = None) -> Refusal:
    """Return the refusal of a request that breaks the API's rules."""
    return Refusal(
        outcome="invalid", status=status, type="invalid_request_error", message=message, code=code, param=param
    )


def bad_key(given: str) -> Refusal:
    """Return the refusal of a missing or wrong key, quoting a long key's ends as OpenAI does: logs must redact it."""
    if not given:
        message = "You didn't provide an API key in an Authorization header: Authorization: Bearer YOUR_KEY."
        code = None
    else:
        shown = f"{given[:4]}{'*' * 8}{given[-4:]}" if len(given) > 16 else "*" * 8
        message, code = f"Incorrect API key provided: {shown}.", "invalid_api_key"
    return Refusal(outcome="unauthorized", status=401, type="invalid_request_error", message=message, code=code)


def no_model(model: str) -> Refusal:
    """Return the refusal of a model that is not served here."""
    message = f"The model `{model[:80]}` does not exist or you do not have access to it."
    return invalid(message, status=404, code="model_not_found")


def unsupported_max_tokens() -> Refusal:
    """Return the refusal of newer models for the older parameter; clients look for exactly these words."""
    message = (
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
    )
    return invalid(message, code="unsupported_parameter", param="max_tokens")


def no_quota() -> Refusal:
    """Return the refusal of an account without credit; a retry cannot help."""
    message = "You exceeded your current quota, please check your plan and billing details."
    return Refusal(outcome="quota", status=429, type="insufficient_quota", code="insufficient_quota", message=message)


def retry_after(refusal: Refusal, options: Options, wall: float) -> dict[str, str]:
    """Return the headers that say when to come back; `wall` is the time of day in seconds since 1970.

    `Retry-After` holds whole seconds, rounded up (RFC 9110, 10.2.3), and OpenAI's own `retry-after-ms` goes with it.
    An HTTP-date is rounded up as well, so that the date never lies in the past.
    """
    how = options.retry_after
    if refusal.wait is None or how == "off":
        return {}
    wait = refusal.wait if how is None or isinstance(how, str) else how
    if how == "date":
        return {"Retry-After": formatdate(math.ceil(wall + wait), usegmt=True)}
    return {"Retry-After": str(math.ceil(wait)), "retry-after-ms": str(math.ceil(wait * 1000))}
