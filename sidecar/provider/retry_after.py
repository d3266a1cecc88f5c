"""Waits that providers name after a refusal, in all their forms.

A wait is named by `Retry-After`, `retry-after-ms`, a field of the body or its words. `x-ratelimit-reset-*` names the
point at which a whole bucket is full again: such a wait is vague and counts only where no other is named. A date and a
point since 1970 are the provider's clock, so they are compared with the `Date` of its answer.
"""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Final

from sidecar.provider.error_body import ErrorBody

LONGEST: Final = 86_400.0
"""Seconds of a wait, at most: a day."""
_EPOCH_SECONDS: Final = (1e9, 1e11)
_EPOCH_MILLISECONDS: Final = (1e12, 1e14)
_BUCKETS: Final = ("-requests", "-tokens", "")
_UNITS: Final = {"n": 1e-9, "u": 1e-6, "µ": 1e-6, "μ": 1e-6, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_MILLI: Final = 1e-3
_BEHIND: Final = "llm_provider-"
"""Start of the names under which LiteLLM passes on the provider's headers; it sends no `Retry-After` of its own."""
_LONGEST_TEXT: Final = 80
_NUMBER: Final = r"([0-9]{1,12}(?:\.[0-9]{1,12})?)\s{0,2}"
_UNIT: Final = (
    r"(ns|us|µs|μs|ms|milliseconds?|msecs?|s|seconds?|secs?|m|minutes?|mins?|h|hours?|hrs?|d|days?)(?![a-zµμ])"
)
_PART: Final = re.compile(_NUMBER + _UNIT, re.IGNORECASE)
_SPAN: Final = re.compile(rf"(?:{_NUMBER}{_UNIT}(?:,?\s{{1,2}}(?:and\s)?)?){{1,5}}", re.IGNORECASE)
_WAIT_WORDS: Final = re.compile(
    r"(?:(?:try|retry)(?:ing)?(?:\s(?:again|(?:your|the|this)\srequests?))?\s(?:in|after)|please\swait(?:\sfor)?)"
    rf"\s({_SPAN.pattern})",
    re.IGNORECASE,
)


def wait_in(headers: Mapping[str, str], error: ErrorBody) -> tuple[float | None, bool]:
    """Return the seconds to wait, None where no wait is named, and whether the wait is vague."""
    if (named := named_wait(headers, error)) is not None:
        return named, False
    resets = [wait for source in _sources(headers, error) for wait in _resets(source, headers.get("date", ""))]
    return (max(resets), True) if resets else (None, False)


def named_wait(headers: Mapping[str, str], error: ErrorBody) -> float | None:
    """Return the longest named wait, or None.

    A `Retry-After` in whole seconds is dropped where it only rounds up a finer statement.
    """
    finer = list(_finer(headers, error))
    coarse = list(_coarse(headers, error))
    whole = [wait for wait in coarse if not any(wait - 1 < fine <= wait for fine in finer if wait.is_integer())]
    return max(finer + whole, default=None)


def reset_of(headers: Mapping[str, str], sent: str) -> float | None:
    """Return the seconds from `sent` (a date) until the used-up buckets in these headers are full again, or None."""
    return max(_resets(headers, sent), default=None)


def _sources(headers: Mapping[str, str], error: ErrorBody) -> Iterator[Mapping[str, str]]:
    """Yield the answer's headers, and those of the provider behind a gateway."""
    yield headers
    yield {name.removeprefix(_BEHIND): value for name, value in headers.items() if name.startswith(_BEHIND)}
    yield error.headers


def _finer(headers: Mapping[str, str], error: ErrorBody) -> Iterator[float]:
    for source in _sources(headers, error):
        yield from _seconds(source.get("retry-after-ms", ""), 0.001)
    for text, unit in error.waits:
        yield from _seconds(text, unit)
    for text in (error.message, error.raw):
        for match in _WAIT_WORDS.finditer(text):
            yield from _bounded(_sum(match[1]))


def _coarse(headers: Mapping[str, str], error: ErrorBody) -> Iterator[float]:
    for source in _sources(headers, error):
        text = source.get("retry-after", "")
        # A header sent twice comes joined.
        numbers = [wait for piece in text.split(",") for wait in _seconds(piece, sent=headers.get("date", ""))]
        yield from numbers
        if text and not numbers:
            yield from _date(text, headers.get("date", ""))


def _resets(headers: Mapping[str, str], sent: str) -> Iterator[float]:
    for bucket in _BUCKETS:
        left = _number(headers.get(f"x-ratelimit-remaining{bucket}", ""))
        if left is None or left <= 0:
            text = headers.get(f"x-ratelimit-reset{bucket}", "")
            waits = list(_seconds(text, sent=sent))
            yield from waits or _date(text, sent)


def _seconds(text: str, unit: float = 1.0, *, sent: str = "") -> Iterator[float]:
    """Yield the seconds of a number, of a span such as `2m59.56s`, or from `sent` (a date) to a point since 1970."""
    text = text.strip()
    if len(text) > _LONGEST_TEXT:
        return
    if (number := _number(text)) is not None:
        since = number
        for (low, high), part in ((_EPOCH_SECONDS, 1.0), (_EPOCH_MILLISECONDS, 0.001)):
            if unit == 1.0 and low <= since < high:
                yield from _until(since * part, sent)
                return
        yield from _bounded(number * unit)
    elif _SPAN.fullmatch(text):
        yield from _bounded(_sum(text))


def _sum(span: str) -> float:
    return sum(float(number) * _unit(unit.lower()) for number, unit in _PART.findall(span))


def _unit(name: str) -> float:
    return _MILLI if name.startswith(("ms", "milli")) else _UNITS[name[0]]


def _date(text: str, sent: str) -> Iterator[float]:
    """Yield the seconds from `sent` (a date) to another date."""
    if (moment := _moment(text)) is not None:
        yield from _until(moment, sent)


def _moment(text: str) -> float | None:
    """Return the point since 1970 of a date of HTTP (RFC 9110, 10.2.3) or of RFC 3339, or None."""
    if not text[:1].isalnum() or len(text) > _LONGEST_TEXT:
        return None
    from datetime import UTC, datetime  # noqa: PLC0415 - dates are rare, and the one-shot process need not load them
    from email.utils import parsedate_to_datetime  # noqa: PLC0415

    try:
        moment = datetime.fromisoformat(text) if text[0].isdigit() else parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _until(moment: float, sent: str) -> Iterator[float]:
    """Yield the seconds from `sent` (a date; else from now) to `moment`: a wrong clock at the provider cancels out."""
    import time  # noqa: PLC0415 - as above

    since = _moment(sent)
    yield from _bounded(max(0.0, moment - (time.time() if since is None else since)))


def _bounded(wait: float) -> Iterator[float]:
    if math.isfinite(wait) and wait >= 0:
        yield min(wait, LONGEST)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
