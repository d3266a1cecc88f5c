"""A rate over the last seconds."""

from hypothesis import given
from hypothesis import strategies as st

from sidecar.engine.limiter.rate import WINDOW, Rate
from tests.support.clocks import Clock


def test_a_steady_rate_is_measured() -> None:
    """Three a second are three a second."""
    clock = Clock()
    rate = Rate(clock)
    for _ in range(20):
        for _ in range(3):
            rate.count()
        clock.now += 1
    assert rate.per_second() == 3.0


def test_what_was_long_ago_is_forgotten() -> None:
    """After the window nothing is left."""
    clock = Clock()
    rate = Rate(clock)
    rate.count()
    clock.now += WINDOW + 2
    assert rate.per_second() == 0.0


@given(st.lists(st.floats(0, 30), max_size=50))
def test_it_never_reports_more_than_happened(gaps: list[float]) -> None:
    """Whatever the gaps, the window's sum is at most what was counted in it."""
    clock = Clock()
    rate = Rate(clock)
    times = []
    for gap in gaps:
        clock.now += gap
        rate.count()
        times.append(int(clock.now))
    recent = [time for time in times if int(clock.now) - WINDOW <= time < int(clock.now)]
    assert rate.per_second() * WINDOW == len(recent)
