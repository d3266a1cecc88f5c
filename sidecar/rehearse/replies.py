"""Outcome of a click, read as callers read it: `success` and `code` of the envelope, or OpenAI's shape on /v1."""

import re
from typing import Any, Final, Literal, NamedTuple

import msgspec

from sidecar.rehearse.plan import Route

Kind = Literal["answered", "refused", "late", "error", "unfinished"]

ANSWERED: Final = "ok"
GAVE_UP: Final = "gave_up"
"""Code of a click whose caller's own time was over first."""
UNREACHABLE: Final = "unreachable"
"""Code of a click that found no server."""
CLOSED: Final = "closed"
"""Code of a click whose connection ended without a response."""
NO_ANSWER: Final = "no_answer"
"""Code of a response that is not in the route's shape."""
UNFINISHED: Final = "unfinished"
"""Code of a click that the end of the rehearsal cut short."""

_KINDS: Final[dict[str, Kind]] = {
    ANSWERED: "answered",
    "overloaded": "refused",
    "limited": "refused",
    "rate_limited": "refused",
    "shutting_down": "refused",
    "timeout": "late",
    GAVE_UP: "late",
    UNFINISHED: "unfinished",
}
_CODE: Final = re.compile("[a-z][a-z_]{0,39}")
_RESERVED: Final = frozenset({ANSWERED, UNFINISHED})


class Reply(NamedTuple):
    """End of a click."""

    code: str
    """`ok`, the envelope's code, or one of the codes above."""
    fallback: bool = False
    """True if the deployed plugin would now start a process of its own for this click."""


class Click(NamedTuple):
    """A click with its times, in seconds after the start."""

    start: float
    end: float
    reply: Reply

    @property
    def seconds(self) -> float:
        return self.end - self.start

    @property
    def kind(self) -> Kind:
        return kind_of(self.reply.code)


def kind_of(code: str) -> Kind:
    """Return what a code means to a pupil; an unknown one is an error."""
    return _KINDS.get(code, "error")


def read_reply(route: Route, status: int, body: bytes) -> Reply:
    """Return the outcome that a response means to its caller."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = None
    fields = found if isinstance(found, dict) else {}
    if route == "v1":
        # Moodle's own subsystem takes exactly 200 for a success, and starts no process.
        return Reply(ANSWERED if status == 200 and _completed(fields) else _code(fields.get("error")))
    answered = fields.get("success") is True and _is_text(fields.get("data"))
    # CONTRACT, "Who calls": any other status means to the plugin that HTTP mode is down.
    return Reply(ANSWERED if answered else _code(fields), fallback=not 200 <= status <= 299)


def _completed(fields: dict[str, Any]) -> bool:
    match fields:
        case {"choices": [{"message": {"content": content}}, *_]}:
            return _is_text(content)
    return False


def _code(fields: object) -> str:
    """Return the code of a failure; only what looks like a code, since a foreign server may send any text."""
    code = fields.get("code") if isinstance(fields, dict) else None
    if isinstance(code, str) and _CODE.fullmatch(code) and code not in _RESERVED:
        return code
    return NO_ANSWER


def _is_text(value: object) -> bool:
    return isinstance(value, str) and not (not value or value.isspace())
