"""Table theirs → ours for what a provider says when it refuses: status, type, code and headers to the error tree.

Provider's words are quoted shortly and only where they hold no key and no user's text. Lost connections have no words;
they are in unreached.py.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from sidecar.edges.upstream.quoting import quoted
from sidecar.edges.upstream.wire import Answer
from sidecar.words.errors import RateLimited, Scope, UpstreamAuth, UpstreamError, UpstreamFailure
from sidecar.words.ports import Call

_LONGEST_WAIT: Final = 86_400.0
_BROKE: Final = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
"""Types and codes of OpenAI's guide to error codes that no waiting cures."""
_BROKE_WORDS: Final = re.compile(
    r"exceeded your current quota|billing|insufficient (?:quota|balance|credit)", re.IGNORECASE
)
_MINUTE: Final = re.compile(r"per[ _-]?min|\b[RT]PM\b", re.IGNORECASE)
_SOON: Final = re.compile(r"(?:try again|retry) in ", re.IGNORECASE)
_TOO_LONG: Final = re.compile(
    r"context[ _](?:length|window|size)|maximum context|(?:prompt|input|request) is too long"
    r"|too many (?:input )?tokens",
    re.IGNORECASE,
)


class Said(msgspec.Struct, frozen=True):
    """A provider's error in its own words."""

    message: str = ""
    type: str = ""
    code: str = ""
    status: int = 0
    """The HTTP status that its code names; OpenRouter sends it so, with status 200."""

    @property
    def names(self) -> frozenset[str]:
        return frozenset((self.type, self.code))


def failure(answer: Answer, call: Call, secrets: tuple[str, ...] = ()) -> UpstreamFailure:
    """The error that a refusing answer is (also one at status 200 that holds an error)."""
    words = said(answer.body)
    status = words.status if answer.status == 200 and words.status else answer.status
    if status in (401, 403) or "invalid_api_key" in words.names:
        return UpstreamAuth(status=status)
    if status in (402, 429) or words.names & _BROKE or (status == 200 and "rate_limit_exceeded" in words.names):
        return _limited(words, status, answer.headers)
    busy = status in (503, 529)
    return UpstreamError(
        _sentence(words, status, quoted(words.message, call, secrets)),
        status=status,
        retryable=busy,
        retry_after=retry_after(answer.headers) if busy else None,
        scope="capacity" if busy else "provider",
    )


def _sentence(words: Said, status: int, quote: str) -> str:
    if 300 <= status < 400:
        return f"The AI provider redirects calls ({status}); the administrator should check OPENAI_BASE_URL."
    if status == 404:
        names = "OPENAI_BASE_URL and OPENAI_MODEL"
        return f"The AI provider knows no such address or model (404); the administrator should check {names}."
    wordy = status in (400, 422) and _TOO_LONG.search(words.message)
    if status == 413 or wordy or "context_length_exceeded" in words.names:
        return "The text is too long for the AI model."
    if status in (503, 529):
        return f"The AI provider is overloaded for the moment ({status}). Please try again soon."
    number = "" if status == 200 else f" ({status})"
    return f"The AI provider answered with an error{number}" + (f": {quote}" if quote else ".")


def _limited(words: Said, status: int, headers: Mapping[str, str]) -> RateLimited:
    message, wait = words.message, retry_after(headers)
    minute = bool(_MINUTE.search(message))
    # Gemini says "exceeded your current quota … billing" for its limits a minute too, but then says when to come back.
    broke = _BROKE_WORDS.search(message) and wait is None and not minute and not _SOON.search(message)
    if status == 402 or words.names & _BROKE or broke:
        return RateLimited(
            "The AI provider's quota is used up; the administrator must check plan and billing there.",
            status=status,
            scope="account",
        )
    if "request too large" in message.lower():  # over the limit a minute all by itself: waiting cannot help
        return RateLimited("The text is too long for the AI provider's limit on tokens a minute.", status=status)
    scope: Scope = "capacity"
    return RateLimited(status=status, retryable=True, retry_after=wait, scope=scope)


def _used_up(headers: Mapping[str, str]) -> bool:
    return any(headers.get(f"x-ratelimit-remaining-{what}", "").strip() == "0" for what in ("requests", "tokens"))


def said(body: bytes) -> Said:
    """The error in a body, in the shapes seen in the wild: OpenAI's, a bare text, FastAPI's, Google's list."""
    try:
        found = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return Said()
    return _said(found)


def _said(found: Any) -> Said:
    if isinstance(found, list):
        found = found[0] if found else None
    if not isinstance(found, dict):
        return Said()
    error = found.get("error") or found.get("detail") or found
    if isinstance(error, str):
        error = {"message": error, "code": found.get("code"), "type": found.get("type")}
    if not isinstance(error, dict):
        return Said()
    code = error.get("code")
    status = code if isinstance(code, int) and 400 <= code <= 599 else 0
    return Said(_str(error.get("message")), _str(error.get("type")), _str(code), status)


def _str(value: object) -> str:
    return value if isinstance(value, str) else ""


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds a provider asks to wait: `retry-after-ms` (OpenAI's), or `Retry-After` in seconds or as a date."""
    for value in _waits(headers):
        if value >= 0:  # NaN is not
            return min(value, _LONGEST_WAIT)
    return None


def _waits(headers: Mapping[str, str]) -> Iterator[float]:
    if (text := headers.get("retry-after-ms")) and (number := _number(text)) is not None:
        yield number / 1000
    if not (text := headers.get("retry-after")):
        return
    if (number := _number(text)) is not None:
        yield number
        return
    import time  # noqa: PLC0415 - dates are rare, and the one-shot process need not load what reads them
    from email.utils import parsedate_to_datetime  # noqa: PLC0415

    try:
        yield max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError):
        return


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
