"""Limits that a site sets for itself, its tokens and its users, as configuration, counters and Redis have them."""

from typing import Final, Literal

import msgspec

Way = Literal["ai", "openai", "jobs", "status"]
"""Routes that a token can be for, by their names in the log; `status` stands for what operators look at."""
Field = Literal["requests_per_minute", "at_once", "tokens_per_day"]
FIELDS: Final[tuple[Field, ...]] = ("requests_per_minute", "at_once", "tokens_per_day")


class Quota(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of a site, a token or a user; 0 is no limit."""

    requests_per_minute: int = 0
    """Requests admitted within any 60 seconds."""
    at_once: int = 0
    """Requests under way at the same time."""
    tokens_per_day: int = 0
    """Tokens of prompts and answers; the day's next request is refused once they are used up."""

    def __bool__(self) -> bool:
        return bool(self.requests_per_minute or self.at_once or self.tokens_per_day)


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """One counter that a request counts at, with its limits."""

    kind: Literal["site", "token", "user"]
    name: str
    """Name of the counter: a user's is a hash."""
    quota: Quota
    token: str = ""
    """The token's name, for sentences."""
    count: int = 1
    """Requests that count: one, or those of a list of jobs. More than the limit count as the limit."""

    @property
    def counted(self) -> int:
        """Return the requests that count towards `requests_per_minute`."""
        return min(self.count, self.quota.requests_per_minute)


class Away(Exception):
    """A store of counters failed; the message is a sentence for operators, and shows nothing of a request."""


class Refusal(msgspec.Struct, frozen=True):
    """A limit that is reached: `seconds` until it admits the request again."""

    scope: Scope
    field: Field
    seconds: float
