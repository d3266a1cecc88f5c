"""Providers that queue instead of refusing: what answers and deadlines say of their slots."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.engine.limiter.latency import HillClimb, LatencySamples

DEADLINE = 25.0


def burst(slots: int, seconds: float, calls: int) -> LatencySamples:
    """Calls sent together to a server with so many slots: those done by the deadline, and the first late ones."""
    samples = LatencySamples()
    for number in range(calls):
        took = seconds * (number // slots + 1)
        if took <= DEADLINE:
            samples.answered(took, number)
        else:
            samples.late += 1
    return samples


@given(st.integers(1, 16), st.floats(0.5, 8.0))
def test_slots_and_seconds_are_read_off_one_burst(slots: int, seconds: float) -> None:
    """Within two of the true slots, or a half, and the seconds with them: the next class counts on that."""
    samples = burst(slots, seconds, 64)
    if samples.late < max(8, samples.done):
        return
    found = samples.queue(64, DEADLINE)
    assert found is not None
    assert abs(found[0] - slots) <= max(2, slots / 2)
    assert found[1] == pytest.approx(seconds, rel=0.6)


def test_one_late_call_in_fifty_is_a_hiccup() -> None:
    """Slowing everybody down would not help."""
    samples = LatencySamples()
    for number in range(980):
        samples.answered(1.0, number % 49)
    samples.late = 20
    assert samples.queue(64, DEADLINE) is None


def test_silence_is_no_evidence_of_room() -> None:
    """A provider that answered nobody is the breaker's business."""
    samples = LatencySamples()
    samples.late = 64
    assert samples.queue(64, DEADLINE) is None


def test_few_answers_among_few_late_calls_prove_nothing_yet() -> None:
    """Three answers and two late calls may be anything."""
    samples = LatencySamples()
    for _ in range(3):
        samples.answered(8.0, 0)
    samples.late = 2
    assert samples.queue(64, DEADLINE) is None


@pytest.mark.parametrize(("given", "fair"), [(4.9, False), (9.9, False), (10.0, True), (25.0, True)])
def test_a_call_that_was_granted_late_says_nothing(given: float, fair: bool) -> None:
    """Half a second before its deadline a call had no fair chance: that is the queue's doing, not the provider's."""
    assert LatencySamples().fair(given) is fair


def test_a_call_must_have_had_more_than_the_shortest_answer_takes() -> None:
    """Callers who give ten seconds to a model that needs twenty prove nothing."""
    samples = LatencySamples()
    samples.answered(20.0, 0)
    assert not samples.fair(21.0)
    assert samples.fair(23.0)


def climb(slots: int, start: float, answers: int) -> float:
    """The limit after so many answers of a server with so many slots, used up to the limit all the time."""
    rising, found = HillClimb(), start
    for _ in range(answers):
        found = min(64.0, rising.answered(max(1.0, found / slots), found))
    return found


def test_a_limit_learned_too_low_rises_to_the_slots() -> None:
    """Where answers do not come later for it, more at once is more."""
    assert 16 <= climb(16, 2, 2000) <= 32


def test_at_the_slots_it_stays() -> None:
    """More at once only makes everybody wait longer: tries get rare."""
    levels = [climb(4, 4, answers) for answers in range(1000, 1200)]
    assert sum(level > 4 for level in levels) <= 40
