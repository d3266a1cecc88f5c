"""Rate limits of the demo provider: requests and tokens a minute, calls a day.

State changes have no `await`, so that check and take are one step. The clock is a parameter.
"""

import math
from collections.abc import Callable
from typing import Final, Literal, NamedTuple

import msgspec

from sidecar.demo.options import Options

Kind = Literal["requests", "tokens"]
Which = Literal["requests", "tokens", "day", "slots"]

DAY: Final = 86_400.0
"""Seconds."""


class Denial(msgspec.Struct, frozen=True, kw_only=True):
    """Limit that a call ran into, and the amount that the call would have taken."""

    which: Which
    limit: int
    used: int
    requested: int = 1
    wait: float | None = None
    """Seconds until the call would fit; None where that is unknown (slots) or never."""
    back: float = 0.0
    """Seconds until the whole limit is back."""


class Want(NamedTuple):
    """Amount that a call takes from one bucket."""

    which: Kind
    limit: int
    """Amount a minute, and so the speed at which the bucket fills again."""
    size: int
    """Largest amount that the bucket holds."""
    amount: int


class Bucket:
    """A token bucket that refills evenly, by a whole limit in 60 seconds.

    OpenAI names neither the algorithm nor its burst; the headers that OpenAI sends (remaining, and the time until all
    is back) are those of a token bucket.
    """

    def __init__(self) -> None:
        self._used = 0.0
        self._seen = 0.0

    def used(self, want: Want, now: float) -> float:
        """Return the amount missing from the bucket at `now`."""
        self._used = max(0.0, min(self._used, want.size) - (now - self._seen) * want.limit / 60)
        self._seen = now
        return self._used

    def take(self, want: Want) -> None:
        """Take the amount, or as much of it as the bucket holds."""
        self._used = min(want.size, self._used + want.amount)

    def put_back(self, want: Want) -> None:
        """Undo a `take`."""
        self._used = max(0.0, self._used - want.amount)


class Rates:
    """Requests and tokens a minute, calls a day; a call takes from both buckets or from none."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.reset()

    def reset(self) -> None:
        """Fill the buckets, and begin a new day with the next call."""
        self._buckets: dict[Kind, Bucket] = {"requests": Bucket(), "tokens": Bucket()}
        self._day_began = -math.inf
        self._calls_today = 0

    def take(self, options: Options, tokens: int) -> Denial | None:
        """Take one request and `tokens`, or return the limit that denies them."""
        now = self._clock()
        denial = self._take_day(options.day, now)
        if denial is not None:
            return denial
        wants = _wants(options, tokens)
        short = next((want for want in wants if self._missing(want, now) > 1e-9), None)
        if short is None or options.count_refused:
            for want in wants:
                self._buckets[want.which].take(want)
        return self._denial(short, now) if short else None

    def put_back(self, options: Options, tokens: int) -> None:
        """Undo a `take` of this moment for a call refused by another limit; the day's count stays."""
        for want in _wants(options, tokens):
            self._buckets[want.which].put_back(want)

    def headers(self, options: Options) -> dict[str, str]:
        """Return the `x-ratelimit-*` headers of every answer while a limit is on.

        Source: OpenAI's guide to rate limits, "Rate limits in headers".
        """
        now = self._clock()
        found: dict[str, str] = {}
        for want in _wants(options, 0):
            used = self._buckets[want.which].used(want, now)
            found[f"x-ratelimit-limit-{want.which}"] = str(want.limit)
            found[f"x-ratelimit-remaining-{want.which}"] = str(max(0, math.floor(want.size - used + 1e-9)))
            found[f"x-ratelimit-reset-{want.which}"] = span(used * 60 / want.limit)
        return found

    def _missing(self, want: Want, now: float) -> float:
        return self._buckets[want.which].used(want, now) + want.amount - want.size

    def _denial(self, want: Want, now: float) -> Denial:
        used = self._buckets[want.which].used(want, now)
        return Denial(
            which=want.which,
            limit=want.limit,
            used=max(0, math.ceil(want.limit - want.size + used)),
            requested=want.amount,
            wait=None if want.amount > want.size else (used + want.amount - want.size) * 60 / want.limit,
            back=used * 60 / want.limit,
        )

    def _take_day(self, limit: int, now: float) -> Denial | None:
        if not limit:
            return None
        if now - self._day_began >= DAY:
            self._day_began, self._calls_today = now, 0
        self._calls_today += 1
        if self._calls_today <= limit:
            return None
        left = self._day_began + DAY - now
        return Denial(which="day", limit=limit, used=limit, wait=left, back=left)


def _wants(options: Options, tokens: int) -> list[Want]:
    wants = []
    if options.rpm:
        wants.append(Want("requests", options.rpm, options.rpm_burst or options.rpm, 1))
    if options.tpm:
        wants.append(Want("tokens", options.tpm, options.tpm_burst or options.tpm, tokens))
    return wants


def span(seconds: float) -> str:
    """Write seconds the way OpenAI's headers do: `840ms`, `1.2s`, `6m0s`."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    if seconds < 60:
        return f"{math.ceil(seconds * 1000) / 1000:g}s"
    minutes, rest = divmod(math.ceil(seconds), 60)
    return f"{minutes}m{rest}s"
