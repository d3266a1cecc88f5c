"""The statuses of refusals: which codes come with which status in which shape, derived from `STATUSES`."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from sidecar.core.contract import encode_reply, failed
from sidecar.core.errors import error_of
from sidecar.http.openapi import parameters
from sidecar.http.openapi.base import ref
from sidecar.http.openapi.errors import MODEL_NOT_FOUND, Failure, OpenAIFailure, WrongEntry
from sidecar.http.responses.openai_errors import NoModel, shape
from sidecar.http.responses.statuses import STATUSES

TRANSPORT: Final = ("bad_request", "http_version", "wrong_host", "request_timeout", "internal")
"""Codes of HTTP itself and of faults: they can come at every address."""
TOKEN: Final = ("unauthorized",)
BODY: Final = ("invalid_json", "invalid_request", "unsupported_media_type", "too_large", "overloaded", "shutting_down")
"""Codes of reading a body."""
WORK: Final = ("timeout", "rate_limited", "upstream_auth", "upstream_error", "upstream_unreachable", "empty_response")
"""Codes of the work behind it."""
LIMITS: Final = ("limited",)
"""Codes of limits by site, token and user, which TOKENS_FILE sets."""
STORE: Final = ("jobs_unavailable", "timeout")
"""Codes of asking Redis."""

_TOO_LONG: Final = 431
_MEANINGS: Final[Mapping[int, str]] = {
    200: "The request was understood and got no answer; the plugin takes any other status for a dead transport.",
    400: "The request is at fault.",
    401: "The sidecar's token is required here, and is missing or wrong.",
    404: "There is no such thing here.",
    408: "The request did not arrive in time.",
    413: "The body is too large.",
    415: "The body is not declared as JSON in UTF-8, or is compressed.",
    421: "The sidecar listens on loopback, and Host is no address, not localhost and not in ALLOWED_HOSTS.",
    429: "Too much at once, here or at the provider; or a limit that the site set.",
    431: "The address or the headers are too long.",
    500: "A fault of the sidecar; the administrator finds the request's id in the log.",
    502: "The provider refused, failed, was not reached or said nothing.",
    503: "No place, no Redis, or the server is about to end.",
    504: "The deadline passed.",
    505: "The version of HTTP is neither 1.0 nor 1.1.",
}


def _grouped(codes: Iterable[str], statuses: Any) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for code in codes:
        for status in statuses(code):
            found.setdefault(status, []).append(code)
    return found


def _real(code: str) -> list[int]:
    return [STATUSES[code].strict] + [_TOO_LONG] * (code == "bad_request")


def _lenient(code: str) -> list[int]:
    return sorted({STATUSES[code].lenient, *_real(code)})


def _openai(code: str) -> list[int]:
    if code == MODEL_NOT_FOUND:
        return [404]
    return [429] if code == "overloaded" else _real(code)


def json_reply(description: str, schema: object, example: object, headers: Mapping[str, Any]) -> dict[str, Any]:
    """Return the description of one reply in JSON."""
    content = {"application/json": {"schema": schema, "example": example}}
    return {"description": description, "headers": parameters.ID_HEADER | dict(headers), "content": content}


def metrics_reply(description: str, example: str) -> dict[str, Any]:
    """Return the description of a reply that is a page for Prometheus, in either of its formats."""
    content = {kind: {"schema": {"type": "string"}} for kind in ("text/plain", "application/openmetrics-text")}
    content["text/plain"]["example"] = example  # type: ignore[assignment]
    return {"description": description, "headers": parameters.ID_HEADER, "content": content}


def envelope(codes: Iterable[str], *, entries: bool = False) -> dict[int, Any]:
    """Return the refusals with `codes` in the sidecar's envelope; `entries`: of a list too."""
    return {status: _failure(status, found, entries=entries) for status, found in _grouped(codes, _real).items()}


def lenient_envelope(codes: Iterable[str]) -> dict[int, Any]:
    """Return the refusals of /ai, with and without STRICT_STATUS."""
    return {status: _failure(status, found) for status, found in _grouped(codes, _lenient).items()}


def openai(codes: Iterable[str]) -> dict[int, Any]:
    """Return the refusals with `codes` in OpenAI's shape."""
    return {status: _openai_failure(status, found) for status, found in _grouped(codes, _openai).items()}


def _failure(status: int, codes: list[str], *, entries: bool = False) -> dict[str, Any]:
    schema: dict[str, Any] = {"allOf": [ref(Failure), {"properties": {"code": {"enum": codes}}}]}
    if entries and status == 400:
        schema = {"anyOf": [schema, ref(WrongEntry)]}
    example = msgspec.json.decode(encode_reply(failed(error_of(codes[0], ""))))
    return json_reply(_MEANINGS[status], schema, example, _headers(status))


def _openai_failure(status: int, codes: list[str]) -> dict[str, Any]:
    narrowed = {"properties": {"error": {"properties": {"code": {"enum": codes}}}}}
    error = NoModel("gpt-4o-mini") if codes[0] == MODEL_NOT_FOUND else error_of(codes[0], "")
    headers = _headers(status) | parameters.NO_RETRY
    return json_reply(_MEANINGS[status], {"allOf": [ref(OpenAIFailure), narrowed]}, shape(error), headers)


def _headers(status: int) -> dict[str, Any]:
    if status == 401:
        return parameters.CHALLENGE
    return parameters.RETRY_AFTER if status in {200, 429, 502, 503, 504} else {}
