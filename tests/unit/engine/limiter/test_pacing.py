"""Calls that follow each other evenly: late timers cost no call, and a wait for a slot earns none."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.engine.limiter.pacing import LAG, Spacing

GAP = 0.001


@given(st.lists(st.floats(0.0, LAG * 0.9), min_size=50, max_size=200))
def test_late_timers_cost_no_calls(latenesses: list[float]) -> None:
    """However late each timer is within its limits, as many calls are sent as the distance says."""
    spacing, now, sent = Spacing(), 100.0, 0
    spacing.sent(now, GAP, probe=False)
    for lateness in latenesses:
        due = spacing.last + GAP
        spacing.next_at(now, due)
        now = max(now, due) + lateness
        while spacing.last + GAP <= now:
            spacing.sent(now, GAP, probe=False)
            sent += 1
    assert sent >= (now - 100.0) / GAP - 2


def test_who_waited_for_a_slot_is_owed_nothing() -> None:
    """A second without a free slot is not made up for by a thousand calls at once."""
    spacing = Spacing()
    spacing.sent(100.0, GAP, probe=False)
    spacing.next_at(100.0, math.inf)
    spacing.sent(101.0, GAP, probe=False)
    assert spacing.last == 101.0


def test_a_long_standstill_is_owed_nothing() -> None:
    """A process that was stopped for ten seconds goes on at its pace."""
    spacing = Spacing()
    spacing.sent(100.0, GAP, probe=False)
    spacing.next_at(100.0, 100.0 + GAP)
    spacing.sent(110.0, GAP, probe=False)
    assert spacing.last == 110.0


def test_a_probe_that_counts_for_nothing_puts_no_call_off() -> None:
    """Where calls are rare, a refused probe leaves the next one its time."""
    spacing = Spacing()
    spacing.sent(100.0, 10.0, probe=False)
    spacing.sent(105.0, 10.0, probe=True)
    spacing.undo()
    assert spacing.last == pytest.approx(100.0)
