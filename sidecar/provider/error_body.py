"""A provider's error, parsed from a body of any known shape.

OpenAI's object, a bare text, Google's list, FastAPI's and Mistral's `detail`, Cloudflare's `errors`, MiniMax's
`base_resp`, `error_message`, AWS's `__type`. Meanings are in error_meanings.py, quotes of users' text in redaction.py.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from sidecar.core.late_pattern import late_pattern
from sidecar.provider import codec

_EVENT: Final = late_pattern(rb"\A\s*(?:(?:event|id|retry)?:[^\r\n]{0,200}[\r\n]+){0,4}data: ?(\{[^\r\n]*)")
"""Start of a body that is an event stream, up to the first event's JSON."""
_DEPTH: Final = 4
"""Levels of nested objects that are read."""
_LONGEST: Final = 2000
"""Characters of a message that are read, at most."""
_INNER: Final = ("error", "errors", "detail", "base_resp")
_MESSAGES: Final = ("message", "Message", "msg", "error_message", "error_msg", "status_msg")
_NAMES: Final = ("type", "code", "status", "reason", "error_type", "error_code", "__type")
_STATUSES: Final = ("code", "status", "statusCode", "status_code", "error_code")
_WAITS: Final = {"retryDelay": 1.0, "retry_after": 1.0, "retry_after_seconds": 1.0, "retry_after_ms": 0.001}
"""Fields that name a wait, and the unit in seconds of a bare number in each."""
_BASE_RESP: Final = {
    1001: 504,
    1002: 429,
    1004: 401,
    1008: 402,
    1026: 400,
    1027: 400,
    1039: 429,
    2013: 400,
    2049: 401,
}
"""MiniMax's codes (its page "Error codes") as HTTP statuses; all others are 500."""


class ErrorBody(msgspec.Struct, frozen=True):
    """An error as a provider's body states it."""

    message: str = ""
    names: frozenset[str] = frozenset()
    """Types, codes, reasons and Google's statuses, in lower case."""
    status: int = 0
    """The HTTP status that the body names, as OpenRouter does at status 200; 0 for none."""
    waits: tuple[tuple[str, float], ...] = ()
    """Values of fields that name a wait, each with the unit in seconds of a bare number."""
    headers: Mapping[str, str] = {}
    """Headers of the provider behind a gateway, under lower-case names (OpenRouter's `metadata.headers`)."""
    context: int = 0
    """Tokens that the model takes (llama.cpp's `n_ctx`); 0 for unknown."""
    raw: str = ""
    """The error of the provider behind a gateway, as text (OpenRouter's `metadata.raw`)."""

    @property
    def whole(self) -> str:
        """The message, and that of the provider behind a gateway: "Provider returned error" alone helps nobody."""
        inner = read_error(self.raw.encode("utf-8", "replace")).message if self.raw else ""
        return f"{self.message}: {inner}" if self.message and inner else self.message or inner


def read_error(body: bytes) -> ErrorBody:
    """Return the error in a body; an empty one where the body holds no readable error."""
    if (event := _EVENT.search(body)) is not None:  # some servers refuse a stream by an event
        body = event[1]
    try:
        return _parse(codec.decode(body), _DEPTH)
    except (ValueError, RecursionError):
        return ErrorBody(message=_plain_text(body))


def reports(body: Mapping[str, Any]) -> bool:
    """Return whether a body that came with status 200 says that it is an error."""
    if reports_error(body.get("error")):
        return True
    base = body.get("base_resp")
    if isinstance(base, dict) and base.get("status_code"):
        return True
    return "choices" not in body and any(body.get(name) for name in ("errors", "detail", "error_message", "error_msg"))


def reports_error(error: object) -> bool:
    """Return whether a field `error` holds one; one-api sends blank ones beside choices."""
    return any(error.values()) if isinstance(error, dict) else bool(error)


def _plain_text(body: bytes) -> str:
    """Return a body that is a short text, as proxies send it; empty for a page or broken JSON."""
    if not body or len(body) > _LONGEST or body.lstrip()[:1] in (b"<", b"{", b"[", b""):
        return ""
    try:
        return body.decode()
    except UnicodeDecodeError:
        return ""


def _parse(found: Any, depth: int) -> ErrorBody:
    if isinstance(found, str):
        return ErrorBody(message=found[:_LONGEST])
    if isinstance(found, list):
        found = found[0] if found else None
        if isinstance(found, str):
            return _parse(found, 0)
    if not isinstance(found, dict) or not depth:
        return ErrorBody()
    own = _own(found)
    for inner in _nested(found):
        own = _merged(_parse(inner, depth - 1), own)
    return own


def _nested(found: Mapping[str, Any]) -> Iterator[Any]:
    for name in (*_INNER, *_MESSAGES):
        value = found.get(name)
        if isinstance(value, str) and name in _INNER and isinstance(more := found.get("message"), str) and more:
            yield f"{value}: {more}"
        elif isinstance(value, dict | list) or (isinstance(value, str) and name in _INNER):
            yield value


def _own(found: Mapping[str, Any]) -> ErrorBody:
    """Return the error that the object itself states, without nested ones."""
    message: str = next((text for name in _MESSAGES if isinstance(text := found.get(name), str) and text), "")
    if isinstance(where := found.get("loc"), list) and message:
        message = f"{'.'.join(str(part)[:40] for part in where[:8])}: {message}"
    names = {str(found.get(name)).rpartition("#")[2].lower() for name in _NAMES if found.get(name)}
    waits = [(name, found) for name in _WAITS]
    headers: Mapping[str, str] = {}
    raw = ""
    details = found.get("details")
    for detail in details[:16] if isinstance(details, list) else ():
        if isinstance(detail, dict):
            names.add(str(detail.get("reason", "")).lower())
            waits.append(("retryDelay", detail))
    if isinstance(metadata := found.get("metadata"), dict):
        waits += [(name, metadata) for name in _WAITS]
        raw = metadata["raw"][:_LONGEST] if isinstance(metadata.get("raw"), str) else ""
        if isinstance(inside := metadata.get("headers"), dict):
            headers = {str(name).lower(): _scalar(value) for name, value in inside.items()}
    return ErrorBody(
        message[:_LONGEST],
        frozenset(names - {""}),
        _status(found),
        tuple((text, _WAITS[name]) for name, holder in waits if (text := _scalar(holder.get(name)))),
        headers,
        found["n_ctx"] if type(found.get("n_ctx")) is int else 0,
        raw,
    )


def _status(found: Mapping[str, Any]) -> int:
    if "status_msg" in found and isinstance(code := found.get("status_code"), int):
        return _BASE_RESP.get(code, 500) if code else 0
    for name in _STATUSES:
        text = _scalar(found.get(name))
        if len(text) == 3 and text.isascii() and text.isdigit() and 400 <= int(text) <= 599:
            return int(text)
    return 0


def _merged(inner: ErrorBody, outer: ErrorBody) -> ErrorBody:
    """Return both as one error: values of the inner one, where it has any."""
    return ErrorBody(
        inner.message or outer.message,
        inner.names | outer.names,
        inner.status or outer.status,
        inner.waits + outer.waits,
        inner.headers or outer.headers,
        inner.context or outer.context,
        inner.raw or outer.raw,
    )


def _scalar(value: object) -> str:
    """Return a text or a number as text; empty for any other value."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""
