"""Promises of the demo provider's rates: requests and tokens a minute, and the headers that say what is left."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.demo.limits import Rates, span
from sidecar.demo.options import Options
from tests.support.clocks import Clock


def test_requests_a_minute_flow_back_evenly() -> None:
    """Beyond the limit a call is told how long to wait, and waiting that long is enough."""
    clock = Clock()
    rates = Rates(clock)
    assert [rates.take(Options(rpm=3), 1) for _ in range(3)] == [None] * 3
    denial = rates.take(Options(rpm=3), 1)
    assert denial is not None
    assert (denial.which, denial.limit, denial.used, denial.requested, denial.wait) == ("requests", 3, 3, 1, 20)
    clock.now += 19.9
    assert rates.take(Options(rpm=3), 1) is not None
    clock.now += 0.1
    assert rates.take(Options(rpm=3), 1) is None


def test_a_call_takes_from_both_limits_or_from_none() -> None:
    """A call that its tokens refuse has cost no request."""
    rates = Rates(Clock())
    assert rates.take(Options(rpm=2, tpm=100), 90) is None
    denial = rates.take(Options(rpm=2, tpm=100), 20)
    assert denial is not None
    assert (denial.which, denial.wait) == ("tokens", 6)
    assert rates.take(Options(rpm=2, tpm=100), 10) is None


def test_a_call_larger_than_the_limit_never_fits() -> None:
    """It is refused without a time to come back, as no time would do."""
    denial = Rates(Clock()).take(Options(tpm=100), 101)
    assert denial is not None
    assert denial.wait is None


def test_rate_headers_tell_what_is_left() -> None:
    """Limit, remaining and reset are there for each limit that is on, and for no other."""
    clock = Clock()
    rates = Rates(clock)
    assert rates.headers(Options()) == {}
    rates.take(Options(rpm=60, tpm=600), 15)
    clock.now += 0.25
    assert rates.headers(Options(rpm=60, tpm=600)) == {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "750ms",
        "x-ratelimit-limit-tokens": "600",
        "x-ratelimit-remaining-tokens": "587",
        "x-ratelimit-reset-tokens": "1.25s",
    }


@given(waits=st.lists(st.floats(0, 3), max_size=80), rpm=st.integers(1, 40))
def test_never_more_than_the_burst_and_the_flow(waits: list[float], rpm: int) -> None:
    """However calls come, at most a full limit and what flowed back since get through."""
    clock = Clock()
    rates, passed, start = Rates(clock), 0, clock.now
    for wait in waits:
        clock.now += wait
        passed += rates.take(Options(rpm=rpm), 1) is None
    assert passed <= rpm + (clock.now - start) * rpm / 60 + 1e-6


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(0, "0ms"), (0.84, "840ms"), (1.2, "1.2s"), (59.9994, "60s"), (60, "1m0s"), (360, "6m0s"), (61.5, "1m2s")],
)
def test_spans_are_written_as_openai_does(seconds: float, written: str) -> None:
    """Milliseconds below a second, then seconds, then minutes."""
    assert span(seconds) == written
