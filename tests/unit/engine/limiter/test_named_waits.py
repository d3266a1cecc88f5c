"""What a wait that the provider names counts for: believed as far as it proves true, never a day on one word."""

import math

import pytest

from sidecar.core.errors import RateLimited
from sidecar.engine.limiter.pauses import FIRST_BELIEF, FIRST_PAUSE, LONGEST_PAUSE, NamedWaits


def refusal(named: float | None = None, *, vague: bool = False) -> RateLimited:
    return RateLimited(scope="capacity", retry_after=named, vague=vague)


def test_without_a_name_pauses_double_up_to_a_quarter_of_the_silence() -> None:
    """A provider that was silent for long is looked at rarely, one that was not is soon seen to be back."""
    waits, now, pauses = NamedWaits(), 100.0, []
    for _ in range(9):
        pauses.append(waits.after(refusal(), now, silence=now - 100.0))
        now += pauses[-1]
    assert pauses[:2] == [FIRST_PAUSE, 2 * FIRST_PAUSE]
    assert all(pause <= max(2 * FIRST_PAUSE, 0.25 * (now - 100.0)) for pause in pauses)
    assert max(pauses) <= LONGEST_PAUSE


def test_a_short_wait_is_believed_at_once() -> None:
    """A second's word costs a second."""
    assert NamedWaits().after(refusal(1.0), 100.0, silence=0.0) == 1.0


@pytest.mark.parametrize("named", [20.0, 3600.0, 1e12])
def test_a_long_wait_is_not_believed_on_one_word(named: float) -> None:
    """A wrong clock or an odd Retry-After costs seconds, not a day."""
    assert NamedWaits().after(refusal(named), 100.0, silence=0.0) == FIRST_BELIEF


def test_a_clock_that_counts_down_to_one_end_is_believed() -> None:
    """Sixty seconds, and two seconds later fifty-eight: a window that ends then."""
    waits = NamedWaits()
    waits.after(refusal(60.0), 100.0, silence=0.0)
    assert waits.after(refusal(58.0), 102.0, silence=2.0) == 58.0


def test_a_number_that_stays_the_same_is_not() -> None:
    """`Retry-After: 3600` every time is a habit of speech: the belief only doubles."""
    waits = NamedWaits()
    waits.after(refusal(3600.0), 100.0, silence=0.0)
    assert waits.after(refusal(3600.0), 102.0, silence=2.0) == 2 * FIRST_BELIEF


def test_vague_words_are_never_believed_for_ever() -> None:
    """When buckets are full again is not when there is room again."""
    waits = NamedWaits()
    waits.after(refusal(60.0, vague=True), 100.0, silence=0.0)
    assert waits.after(refusal(58.0, vague=True), 102.0, silence=2.0) < 58.0


def test_an_admission_between_begins_anew() -> None:
    """Another silence knows nothing of the one before."""
    waits = NamedWaits()
    waits.after(refusal(60.0), 100.0, silence=0.0)
    waits.after(refusal(58.0), 102.0, silence=2.0)
    assert waits.after(refusal(3600.0), 200.0, silence=1.0) == FIRST_BELIEF
    assert math.isfinite(waits.after(refusal(), 201.0, silence=0.5))
