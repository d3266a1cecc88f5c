"""Promises of the result: every click counted once, percentiles that are waits, and what the class cost."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from sidecar.rehearse.plan import Plan
from sidecar.rehearse.replies import Click, Reply
from sidecar.rehearse.result import percentile, result_of
from sidecar.rehearse.server_numbers import ProviderCalls, provider_calls, read_demo, read_server
from tests.support.rehearsals import SERVER, clicks_of, log_of, result_with, server_with

CODES = ["ok", "overloaded", "timeout", "gave_up", "upstream_error", "unfinished"]
CLICKS = st.builds(
    lambda start, seconds, code: Click(start, start + seconds, Reply(code)),
    st.floats(0, 100),
    st.floats(0, 30),
    st.sampled_from(CODES),
)


@given(st.lists(st.floats(0, 100), min_size=1), st.floats(0.01, 1))
def test_a_percentile_is_the_least_wait_that_enough_do_not_exceed(waits: list[float], share: float) -> None:
    """It is one of the waits; at least the share is no longer, and less than the share is shorter."""
    ordered = sorted(waits)
    found = percentile(ordered, share)
    assert sum(wait <= found for wait in ordered) >= share * len(ordered) - 1e-9
    assert sum(wait < found for wait in ordered) < share * len(ordered) + 1e-9


def test_percentiles_of_a_hundred() -> None:
    """The fiftieth, ninety-fifth, ninety-ninth and last."""
    result = result_with(*(Click(0.0, float(n), Reply("ok")) for n in range(1, 101)))
    assert result.waits is not None
    assert (result.waits.p50, result.waits.p95, result.waits.p99, result.waits.max) == (50, 95, 99, 100)


@given(st.lists(CLICKS, max_size=80))
def test_every_click_is_counted_once(clicks: list[Click]) -> None:
    """Answered, refused, late, failed and unfinished are all there are."""
    result = result_of(Plan(), log_of(clicks), None, interrupted=False)
    ended = result.answered + sum(map(sum, (x.values() for x in (result.refused, result.late, result.errors))))
    assert ended == result.clicks
    assert result.clicks + result.unfinished == len(clicks)


def test_waits_of_those_too_late_count_and_refusals_do_not() -> None:
    """A class in which half time out has no good percentiles, and an early refusal makes none better."""
    clicks = [Click(0, 1, Reply("ok")), Click(0, 30, Reply("gave_up")), Click(0, 0.01, Reply("overloaded"))]
    result = result_with(*clicks)
    assert result.waits is not None
    assert (result.waits.p50, result.waits.p95) == (1, 30)
    assert result.refusal_waits is not None
    assert result.refusal_waits.max == 0.01
    assert result_with(*clicks_of(overloaded=3)).waits is None


def test_what_the_class_costs_php() -> None:
    """Workers at once, their seconds, and the processes that the plugin would start."""
    clicks = [Click(0, 2, Reply("ok")), Click(1, 4, Reply("gave_up", fallback=True))]
    result = result_with(*clicks, most_waiting=2)
    assert (result.php.workers, result.php.worker_seconds, result.php.fallback_processes) == (2, 5.0, 1)


def test_calls_come_from_the_demo_providers_counters_where_there_is_one() -> None:
    """What was paid, what was refused, and what sharing saved."""
    after = server_with(flights={"joined": 30, "hits": 12}, answers={"ok": 60}, limit={"refused": 4})
    demo = read_demo((200, b'{"answered": 18, "refused": 7, "received": 25}'))
    assert provider_calls(server_with(), after, demo, clicks=60, answered=60) == ProviderCalls(18, 7, 42, "demo")


def test_calls_are_estimated_from_the_status_otherwise() -> None:
    """Answered clicks less those that shared, from the difference of two looks; others' requests are named."""
    before = server_with(flights={"joined": 5, "hits": 1}, answers={"ok": 100}, limit={"refused": 2})
    after = server_with(flights={"joined": 30, "hits": 12}, answers={"ok": 170}, limit={"refused": 4})
    found = provider_calls(before, after, None, clicks=60, answered=58)
    assert found == ProviderCalls(answered=22, refused=2, saved=36, source="status", others=10)
    assert provider_calls(None, after, None, clicks=60, answered=58) is None


def test_a_status_of_a_stranger_is_none() -> None:
    """Refused, not JSON, in another shape, or with numbers of which no sentence can be made."""
    for found in (None, (401, b"{}"), (200, b"<html>"), (200, b"[]"), (200, b'{"slots": 3}')):
        assert read_server(found) is None, found
    assert read_server((200, msgspec.json.encode(SERVER))) is not None
    for wrong in ({"call_seconds": 1e308}, {"call_seconds": -5}, {"slots": {"found": -1}}, {"answers": {"ok": -1}}):
        assert read_server((200, msgspec.json.encode(SERVER | wrong))) is None, wrong
