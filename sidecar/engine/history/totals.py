"""Totals of the statistics at one point in time, and the flow between two of them. Plain functions, free of I/O."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from sidecar.engine.statistics import SECONDS, Histogram, Refusal, Statistics

WORK: Final = frozenset({"ai", "openai", "stdio", "jobs", "job"})
"""Routes whose refusals count; a wrong token at an operator's address is no caller's trouble."""
TURNED_AWAY: Final = frozenset({"limited", "shutting_down", "overloaded"})
"""Codes that are refusals even without the cause of an early one."""
CALLERS: Final = frozenset(
    {
        *("invalid_json", "invalid_request", "unknown_action", "unsupported_media_type", "too_large"),
        *("unauthorized", "not_found", "method_not_allowed", "bad_request", "request_timeout"),
    }
)
"""Codes of mistakes of callers, which are neither refusals nor failures."""

Buckets = Sequence[int]


class Totals(NamedTuple):
    """Counters since the start, as they were at a point on the clock."""

    at: float
    answered: int
    """Answers, shared ones included."""
    shared: int
    left: int
    """Callers who left before their answer."""
    refusals: Mapping[Refusal, int]
    wait: Buckets
    latency: Mapping[str, Buckets]
    """Answered provider calls, by provider."""
    tokens: Mapping[str, int]
    """Tokens by kind: `prompt`, `completion`."""


class Flow(NamedTuple):
    """Difference of two totals."""

    seconds: float
    answered: int
    shared: int
    left: int
    refusals: Mapping[Refusal, int]
    wait: Buckets
    latency: Mapping[str, Buckets]
    tokens: Mapping[str, int]

    def rate(self, count: int) -> float:
        """Return `count` as a number a second."""
        return round(count / self.seconds, 2) if self.seconds > 0 else 0.0

    @property
    def refused(self) -> int:
        """Requests that were turned away."""
        return sum(count for key, count in self.refusals.items() if is_refused(key))

    @property
    def failed(self) -> int:
        """Requests without an answer in spite of work, mistakes of callers excluded."""
        return sum(count for key, count in self.refusals.items() if not is_refused(key) and key.cause not in CALLERS)

    def by_cause(self) -> Counter[str]:
        """Return the requests without an answer by cause."""
        causes: Counter[str] = Counter()
        for key, count in self.refusals.items():
            causes[key.cause] += count
        return causes

    def all_latency(self) -> Buckets:
        """Return the answered provider calls of all providers."""
        return merged(self.latency.values())


def is_refused(key: Refusal) -> bool:
    """Return whether requests under `key` were turned away, not failed."""
    return key.early or key.cause in TURNED_AWAY


def totals_of(statistics: Statistics, at: float) -> Totals:
    """Return the totals now; `at` is the point on the clock."""
    codes: Counter[str] = Counter()
    for key, count in statistics.requests.items():
        codes[key.code] += count
    tokens: Counter[str] = Counter()
    for kind, count in statistics.tokens.items():
        tokens[kind.kind] += count
    return Totals(
        at=at,
        answered=codes["ok"],
        shared=statistics.shared.total(),
        left=codes["cancelled"],
        refusals={key: count for key, count in statistics.refusals.items() if key.route in WORK},
        wait=merged(_counts(statistics.wait.values())),
        latency={name: tuple(one.counts) for name, one in statistics.latency.items()},
        tokens=tokens,
    )


def between(earlier: Totals, later: Totals) -> Flow:
    """Return what was counted from `earlier` to `later`."""
    return Flow(
        seconds=later.at - earlier.at,
        answered=later.answered - earlier.answered,
        shared=later.shared - earlier.shared,
        left=later.left - earlier.left,
        refusals={key: more for key, count in later.refusals.items() if (more := count - earlier.refusals.get(key, 0))},
        wait=_less(later.wait, earlier.wait),
        latency={name: _less(counts, earlier.latency.get(name, NONE)) for name, counts in later.latency.items()},
        tokens={kind: count - earlier.tokens.get(kind, 0) for kind, count in later.tokens.items()},
    )


NONE: Final[Buckets] = (0,) * (len(SECONDS) + 1)


def merged(histograms: Iterable[Buckets]) -> Buckets:
    """Return the sums of the buckets of several histograms."""
    found = tuple(map(sum, zip(*histograms, strict=True)))
    return found or NONE


def quantile(counts: Buckets, share: float) -> float | None:
    """Return the value in seconds that `share` of the values do not pass; None without a value.

    Inside a bucket values count as spread evenly; beyond the last bound the result is that bound.
    """
    wanted, seen = share * sum(counts), 0
    if not wanted:
        return None
    lower = 0.0
    for bound, count in zip(SECONDS, counts, strict=False):
        if count and seen + count >= wanted:
            return round(lower + (bound - lower) * (wanted - seen) / count, 3)
        seen, lower = seen + count, bound
    return SECONDS[-1]


def _counts(histograms: Iterable[Histogram]) -> Iterable[Buckets]:
    return (histogram.counts for histogram in histograms)


def _less(later: Buckets, earlier: Buckets) -> Buckets:
    return tuple(now - before for now, before in zip(later, earlier, strict=True))
