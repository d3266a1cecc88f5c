"""Statistics of one service since its start: plain counters and histograms, for /status, /metrics and the dashboard.

Counting is on every request's way, so it is a dictionary and a bisection; libraries that publish the numbers read them.
"""

import time
from bisect import bisect_left
from collections import Counter, defaultdict
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


class Histogram:
    """Histogram of seconds."""

    __slots__ = ("counts", "exemplars", "sum")

    def __init__(self) -> None:
        self.counts = [0] * (len(SECONDS) + 1)
        self.exemplars: list[Exemplar | None] = [None] * (len(SECONDS) + 1)
        self.sum = 0.0

    def observe(self, seconds: float, request_id: str = "") -> None:
        """Count a value; `request_id` becomes the bucket's exemplar."""
        bucket = bisect_left(SECONDS, seconds)
        self.counts[bucket] += 1
        self.sum += seconds
        if request_id:
            self.exemplars[bucket] = Exemplar(request_id, seconds, time.time())


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


class Statistics:
    """Observer that counts. Keys come from code and configuration alone, so their number is bounded."""

    def __init__(self) -> None:
        self.requests: Counter[Requests] = Counter()
        self.duration: defaultdict[str, Histogram] = defaultdict(Histogram)
        """Seconds from arrival to the end of requests, by route; those that their route refused are excluded."""
        self.wait: defaultdict[str, Histogram] = defaultdict(Histogram)
        """Seconds in which requests with a provider call waited for slots, by route."""
        self.shed: Counter[str] = Counter()
        """Early refusals by cause."""
        self.refusals: Counter[Refusal] = Counter()
        """Requests without an answer whose caller did not leave."""
        self.shared: Counter[str] = Counter()
        """Answers without a provider call of their own, by `RequestEnd.shared`."""
        self.tokens: Counter[Tokens] = Counter()
        self.calls: Counter[Outcome] = Counter()
        self.retries: Counter[str] = Counter()
        """Attempts after a call's first one, by provider."""
        self.latency: defaultdict[str, Histogram] = defaultdict(Histogram)
        """Seconds of answered provider calls, by provider."""
        self.first_token: defaultdict[str, Histogram] = defaultdict(Histogram)
        """Seconds until the first event of streams, by provider."""

    def request_ended(self, end: RequestEnd) -> None:
        self.requests[Requests(end.route, end.action, end.code)] += 1
        if end.code not in _NO_REFUSAL:
            self.refusals[Refusal(end.route, end.token, end.shed or end.code, bool(end.shed))] += 1
        if end.shed:
            self.shed[end.shed] += 1
            return
        if end.action:  # a storm of its route's refusals, a millisecond each, must not look like quick answers
            self.duration[end.route].observe(end.seconds, end.request_id)
        if end.calls:
            self.wait[end.route].observe(end.queued, end.request_id)
        if end.shared and end.code == "ok":
            self.shared[end.shared] += 1
        if end.prompt_tokens:
            self.tokens[Tokens(end.action, end.provider, "prompt")] += end.prompt_tokens
        if end.completion_tokens:
            self.tokens[Tokens(end.action, end.provider, "completion")] += end.completion_tokens

    def call_ended(self, end: CallEnd) -> None:
        self.calls[Outcome(end.provider, end.code, end.scope)] += 1
        if end.retry:
            self.retries[end.provider] += 1
        if end.code == "ok":
            self.latency[end.provider].observe(end.seconds)
        if end.first is not None:
            self.first_token[end.provider].observe(end.first)
