"""Statistics of one service since its start: plain counters and histograms, for /status, /metrics and the dashboard.

Counting is on every request's way, so it is a dictionary and a bisection; sums and libraries are for those who read.
"""

import time
from bisect import bisect_left
from collections import Counter, defaultdict
from functools import partial
from typing import Final, NamedTuple

from sidecar.core.observations import CallEnd, RequestEnd

SECONDS: Final = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0),
    *(6.0, 8.0, 12.0, 16.0, 20.0, 25.0, 30.0, 45.0, 60.0, 120.0, 300.0, 600.0),
)
"""Upper bounds of the histograms' buckets; one more bucket has what is longer."""


_NO_REFUSAL: Final = frozenset({"ok", "cancelled"})


class Exemplar(NamedTuple):
    """The last request of a bucket."""

    request_id: str
    value: float
    at: float
    """Seconds since 1970."""


_exemplar: Final = partial(tuple.__new__, Exemplar)
"""As `Exemplar`, without its way through Python code."""


class Histogram:
    """Histogram of seconds."""

    __slots__ = ("counts", "exemplars", "sum")

    def __init__(self) -> None:
        self.counts = [0] * (len(SECONDS) + 1)
        self.exemplars: list[Exemplar | None] = [None] * (len(SECONDS) + 1)
        self.sum = 0.0

    def observe(self, seconds: float, request_id: str = "", at: float = 0.0) -> None:
        """Count a value; `request_id` becomes the bucket's exemplar, seen `at` seconds since 1970."""
        bucket = bisect_left(SECONDS, seconds)
        self.counts[bucket] += 1
        self.sum += seconds
        if request_id:
            self.exemplars[bucket] = _exemplar((request_id, seconds, at))


class Requests(NamedTuple):
    """Key of the requests' counter."""

    route: str
    action: str
    code: str


class Refusal(NamedTuple):
    """Key of the counter of requests without an answer."""

    route: str
    token: str
    """Name of the caller's token."""
    cause: str
    """Cause of an early refusal, else the error's code."""
    early: bool
    """True if no work was done for the request."""


class Outcome(NamedTuple):
    """Key of the provider calls' counter."""

    provider: str
    code: str
    scope: str


class Tokens(NamedTuple):
    """Key of the tokens' counter."""

    action: str
    provider: str
    kind: str
    """`prompt` or `completion`."""


_Ended = tuple[str, str, str, str, str, str]
"""Route, action, code, token, cause of an early refusal, and how the answer was shared."""
_Attempted = tuple[str, str, str, bool]
"""Provider, code, scope, and whether the attempt was not a call's first."""


class Statistics:
    """Observer that counts. Keys come from code and configuration alone, so their number is bounded.

    One addition a request and one an attempt; the counters below are summed up for those that read them.
    """

    def __init__(self) -> None:
        self._ended: dict[_Ended, int] = {}
        self._attempted: dict[_Attempted, int] = {}
        self._used: dict[tuple[str, str], list[int]] = {}
        """Tokens of prompts and of answers, by action and provider."""
        self.duration: defaultdict[str, Histogram] = defaultdict(Histogram)
        """Seconds from arrival to the end of requests, by route; those that their route refused are excluded."""
        self.wait: defaultdict[str, Histogram] = defaultdict(Histogram)
        """Seconds in which requests with a provider call waited for slots, by route."""
        self.latency: defaultdict[str, Histogram] = defaultdict(Histogram)
        """Seconds of answered provider calls, by provider."""
        self.first_token: defaultdict[str, Histogram] = defaultdict(Histogram)
        """Seconds until the first event of streams, by provider."""

    def request_ended(self, end: RequestEnd) -> None:
        key = (end.route, end.action, end.code, end.token, end.shed, end.shared)
        self._ended[key] = self._ended.get(key, 0) + 1
        if end.shed:
            return
        now = time.time()
        if end.action:  # a storm of its route's refusals, a millisecond each, must not look like quick answers
            self.duration[end.route].observe(end.seconds, end.request_id, now)
        if end.calls:
            self.wait[end.route].observe(end.queued, end.request_id, now)
        if end.prompt_tokens or end.completion_tokens:
            used = self._used.get((end.action, end.provider))
            if used is None:
                used = self._used[end.action, end.provider] = [0, 0]
            used[0] += end.prompt_tokens
            used[1] += end.completion_tokens

    def call_ended(self, end: CallEnd) -> None:
        key = (end.provider, end.code, end.scope, end.retry)
        self._attempted[key] = self._attempted.get(key, 0) + 1
        if end.code == "ok":
            self.latency[end.provider].observe(end.seconds)
        if end.first is not None:
            self.first_token[end.provider].observe(end.first)

    @property
    def requests(self) -> Counter[Requests]:
        found: Counter[Requests] = Counter()
        for (route, action, code, *_), count in self._ended.items():
            found[Requests(route, action, code)] += count
        return found

    @property
    def shed(self) -> Counter[str]:
        """Early refusals by cause."""
        found: Counter[str] = Counter()
        for (*_, shed, _), count in self._ended.items():
            if shed:
                found[shed] += count
        return found

    @property
    def refusals(self) -> Counter[Refusal]:
        """Requests without an answer whose caller did not leave."""
        found: Counter[Refusal] = Counter()
        for (route, _, code, token, shed, _), count in self._ended.items():
            if code not in _NO_REFUSAL:
                found[Refusal(route, token, shed or code, bool(shed))] += count
        return found

    @property
    def shared(self) -> Counter[str]:
        """Answers without a provider call of their own, by `RequestEnd.shared`."""
        found: Counter[str] = Counter()
        for (_, _, code, _, shed, shared), count in self._ended.items():
            if shared and code == "ok" and not shed:
                found[shared] += count
        return found

    @property
    def tokens(self) -> Counter[Tokens]:
        found: Counter[Tokens] = Counter()
        for (action, provider), counts in self._used.items():
            for kind, count in zip(("prompt", "completion"), counts, strict=True):
                if count:
                    found[Tokens(action, provider, kind)] = count
        return found

    @property
    def calls(self) -> Counter[Outcome]:
        """Attempts at providers."""
        found: Counter[Outcome] = Counter()
        for (provider, code, scope, _), count in self._attempted.items():
            found[Outcome(provider, code, scope)] += count
        return found

    @property
    def retries(self) -> Counter[str]:
        """Attempts after a call's first one, by provider."""
        found: Counter[str] = Counter()
        for (provider, _, _, retry), count in self._attempted.items():
            if retry:
                found[provider] += count
        return found
