"""Promises of the differences between two readings of the counters, and of quantiles of histograms."""

import pytest

from sidecar.core.observations import CallEnd, RequestEnd
from sidecar.engine.history.totals import NONE, Flow, between, merged, quantile, totals_of
from sidecar.engine.statistics import SECONDS, Histogram, Statistics


def ended(code: str = "ok", **fields: object) -> RequestEnd:
    return RequestEnd(**{"request_id": "r", "route": "ai", "code": code} | fields)  # type: ignore[arg-type]


def flow_of(*ends: RequestEnd, seconds: float = 2.0) -> Flow:
    """What two readings around these ends differ by."""
    statistics = Statistics()
    statistics.request_ended(ended())
    statistics.request_ended(ended("overloaded", shed="late"))
    before = totals_of(statistics, 10.0)
    for end in ends:
        statistics.request_ended(end)
    return between(before, totals_of(statistics, 10.0 + seconds))


def test_a_flow_is_what_came_between_two_readings() -> None:
    """Nothing of before, and a rate is a number a second."""
    flow = flow_of(ended(), ended(shared="flight"), ended("cancelled"), ended(prompt_tokens=7, completion_tokens=2))
    assert (flow.answered, flow.shared, flow.left, flow.refused, flow.failed) == (3, 1, 1, 0, 0)
    assert flow.rate(flow.answered) == 1.5
    assert flow.tokens == {"prompt": 7, "completion": 2}


@pytest.mark.parametrize(
    ("end", "refused", "failed"),
    [
        (ended("overloaded", shed="late"), 1, 0),
        (ended("upstream_unreachable", shed="breaker"), 1, 0),
        (ended("limited"), 1, 0),
        (ended("shutting_down"), 1, 0),
        (ended("timeout"), 0, 1),
        (ended("upstream_auth", calls=1), 0, 1),
        (ended("internal"), 0, 1),
        (ended("invalid_json"), 0, 0),
        (ended("unauthorized"), 0, 0),
        (ended("unauthorized", route="dashboard"), 0, 0),
        (ended("not_found", route="http"), 0, 0),
    ],
)
def test_an_end_without_an_answer_is_of_one_kind(end: RequestEnd, refused: int, failed: int) -> None:
    """Turned away, failed in spite of work, or a mistake of the caller, which is neither."""
    flow = flow_of(end)
    assert (flow.refused, flow.failed) == (refused, failed)


def test_refusals_are_known_by_cause_route_and_token() -> None:
    """Who is refused, and why."""
    shed = {"code": "overloaded", "shed": "late"}
    flow = flow_of(ended(**shed, token="arts"), ended(**shed, token="arts"), ended(**shed, route="openai"))
    assert flow.by_cause() == {"late": 3}
    assert {(key.route, key.token): count for key, count in flow.refusals.items()} == {
        ("ai", "arts"): 2,
        ("openai", ""): 1,
    }


def test_a_callers_mistake_at_an_operators_address_is_no_refusal() -> None:
    """A forgotten page with an old token does not look like a class without answers."""
    assert not flow_of(ended("unauthorized", route="status")).refusals


def test_latency_is_apart_for_each_provider() -> None:
    """And all of them together."""
    statistics = Statistics()
    before = totals_of(statistics, 0.0)
    for name in ("east", "east", "west"):
        statistics.call_ended(CallEnd(provider=name, code="ok", seconds=1.2))
    flow = between(before, totals_of(statistics, 1.0))
    assert {name: sum(counts) for name, counts in flow.latency.items()} == {"east": 2, "west": 1}
    assert sum(flow.all_latency()) == 3


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([], 0.5, None),
        ([1.2], 0.5, 1.25),
        ([1.2, 1.2, 1.2, 1.2], 0.5, 1.25),
        ([0.001] * 95 + [50.0] * 5, 0.95, 0.005),
        ([0.001] * 90 + [50.0] * 10, 0.95, 52.5),
        ([9999.0], 0.5, 600.0),
    ],
)
def test_a_quantile_lies_in_its_bucket(values: list[float], share: float, expected: float | None) -> None:
    """Values of a bucket count as spread evenly; beyond the last bound it is that bound."""
    histogram = Histogram()
    for value in values:
        histogram.observe(value)
    assert quantile(histogram.counts, share) == expected


def test_histograms_that_are_none_merge_to_an_empty_one() -> None:
    """Before the first request too there are buckets."""
    assert merged([]) == NONE
    assert len(NONE) == len(SECONDS) + 1
