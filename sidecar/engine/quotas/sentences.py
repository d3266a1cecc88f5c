"""Refusals in words: a sentence that a pupil understands says which limit is reached, and when to try again."""

import math
from collections.abc import Mapping
from typing import Final

from sidecar.core.errors import Limited
from sidecar.core.quotas import Field, Refusal

_WHO: Final[Mapping[str, str]] = {
    "site": "Everybody here together has",
    "token": 'Everybody who uses "{token}" together has',
    "user": "You have",
}
_WHAT: Final[Mapping[Field, str]] = {
    "requests_per_minute": "asked the AI {limit} within a minute, which is the limit.",
    "at_once": "{limit} under way already, which is the limit.",
    "tokens_per_day": "used up the AI's answers for today.",
}


def limited(refusal: Refusal) -> Limited:
    """Return the error of a reached limit."""
    scope, field = refusal.scope, refusal.field
    who = _WHO[scope.kind].format(token=scope.token)
    what = _WHAT[field].format(limit=_counted(field, getattr(scope.quota, field)))
    return Limited(
        f"{who} {what} Please try again in {_time(refusal.seconds)}.",
        retry_after=refusal.seconds,
        limit=f"{scope.kind}.{field}",
    )


def _counted(field: Field, number: int) -> str:
    if field == "at_once":
        return "one question" if number == 1 else f"{number} questions"
    return "once" if number == 1 else f"{number} times"


def _time(seconds: float) -> str:
    """Return a time in its largest fitting unit, rounded up, so that the time is over then."""
    for unit, size in (("hour", 3600), ("minute", 60)):
        if seconds > 2 * size:
            return f"{math.ceil(seconds / size)} {unit}s"
    whole = max(1, math.ceil(seconds))
    return "a second" if whole == 1 else f"{whole} seconds"
