"""Admission: bounds in requests and bytes, refusal at the door, backpressure for the doors that wait."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.errors import Overloaded, ShuttingDown
from sidecar.engine.admission import Admission, Place


def test_a_full_house_refuses_at_once() -> None:
    """One more than the places is refused, without a wait."""
    admission = Admission(places=2, size=100)
    with admission.admit(1), admission.admit(1), pytest.raises(Overloaded):
        admission.admit(1)
    assert admission.held == admission.held_bytes == 0


def test_bytes_are_bounded_too() -> None:
    """Few large bodies fill the house as many small ones do."""
    admission = Admission(places=10, size=100)
    with admission.admit(60):
        with pytest.raises(Overloaded):
            admission.admit(41)
        with admission.admit(40) as place, pytest.raises(Overloaded):
            place.resize(41)


def test_a_place_shrinks_to_what_came() -> None:
    """Bytes that were reserved and did not come are free for others."""
    admission = Admission(places=10, size=100)
    with admission.admit(100) as place:
        place.resize(10)
        with admission.admit(90):
            assert repr(admission) == "<Admission open, 2/10 places, 100/100 bytes>"


def test_draining_refuses_with_its_own_word() -> None:
    """A draining house says so instead of calling itself full."""
    admission = Admission(places=1, size=1)
    admission.close()
    with pytest.raises(ShuttingDown):
        admission.admit()


async def test_waiting_callers_get_places_in_order() -> None:
    """Backpressure: the longest waiting caller is next, and newcomers at refusing routes do not overtake it."""
    admission = Admission(places=1, size=100)
    got = []

    async def take(name: str) -> None:
        with await admission.wait(10):
            got.append(name)

    with admission.admit(100):
        tasks = [asyncio.create_task(take(name)) for name in "abc"]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            admission.admit()
    await asyncio.gather(*tasks)
    assert got == ["a", "b", "c"]
    await admission.emptied()


async def test_a_waiter_who_leaves_holds_nothing() -> None:
    """Cancelling a waiter lets the next one in, also in the very moment of its turn."""
    admission = Admission(places=1, size=100)
    place = admission.admit()
    first = asyncio.create_task(admission.wait())
    second = asyncio.create_task(admission.wait())
    await asyncio.sleep(0)
    admission.release(place)
    first.cancel()
    with await second:
        assert admission.held == 1
    assert first.cancelled()
    assert admission.held == 0


async def test_emptied_returns_when_the_last_one_leaves() -> None:
    """Draining ends with the last request."""
    admission = Admission(places=2, size=10)
    one, two = admission.admit(), admission.admit()
    waiting = asyncio.create_task(admission.emptied())
    admission.release(one)
    await asyncio.sleep(0)
    assert not waiting.done()
    admission.release(two)
    await waiting


@given(st.lists(st.tuples(st.integers(0, 40), st.booleans()), max_size=60))
def test_the_bounds_hold_under_any_order(steps: list[tuple[int, bool]]) -> None:
    """Whatever comes and goes, no more is held than the bounds say, and at the end nothing."""
    admission = Admission(places=3, size=100)
    held: list[Place] = []
    for size, leave in steps:
        if leave and held:
            admission.release(held.pop(0))
            continue
        try:
            held.append(admission.admit(size))
        except Overloaded:
            assert len(held) == 3 or sum(place.size for place in held) + size > 100
        assert admission.held == len(held) <= 3
        assert admission.held_bytes == sum(place.size for place in held) <= 100
    for place in held:
        admission.release(place)
    assert admission.held == admission.held_bytes == 0


def test_bodies_that_have_not_come_hold_half_at_most() -> None:
    """Many who announce much and send nothing leave room for those who send."""
    admission = Admission(places=100, size=100)
    slow = [admission.admit(25, pending=True) for _ in range(2)]
    with pytest.raises(Overloaded):
        admission.admit(25, pending=True)
    with admission.admit(50):
        pass
    slow[0].arrived()
    with admission.admit(25, pending=True):
        assert admission.pending == 50
    for place in slow:
        admission.release(place)
    assert (admission.held, admission.held_bytes, admission.pending) == (0, 0, 0)


def test_one_body_may_be_larger_than_the_half() -> None:
    """MAX_BODY_BYTES may be all of QUEUE_BYTES: such a body is taken when no other is on its way."""
    admission = Admission(places=100, size=100)
    with admission.admit(100, pending=True):
        assert admission.pending == 100
    assert admission.pending == 0


def test_a_pending_body_is_counted_as_it_grows() -> None:
    """Of a body in chunks nobody knows the size before it is there; the half holds for it too."""
    admission = Admission(places=100, size=100)
    slow, other = admission.admit(2, pending=True), admission.admit(30, pending=True)
    slow.resize(20)
    assert admission.pending == 50
    with pytest.raises(Overloaded):
        slow.resize(21)
    slow.arrived()
    slow.resize(60)
    assert admission.pending == 30
    for place in (slow, other):
        admission.release(place)
    assert (admission.held_bytes, admission.pending) == (0, 0)


def test_small_bodies_are_no_slow_senders() -> None:
    """Each has its place's even share of the bytes; the places bound them."""
    admission = Admission(places=10, size=100)
    with admission.admit(50, pending=True), admission.admit(10, pending=True), pytest.raises(Overloaded):
        admission.admit(11, pending=True)


def test_lists_of_jobs_leave_room_for_people() -> None:
    """Lists hold half at most, arrived or not; lists and slow senders together three quarters."""
    admission = Admission(places=100, size=100)
    with admission.admit(50, pending=True, bulk=True) as place:
        assert (admission.bulk, admission.pending) == (50, 0)
        for refused in ({"bulk": True}, {"bulk": True, "pending": True}):
            with pytest.raises(Overloaded):
                admission.admit(2, **refused)
        place.arrived()
        with admission.admit(25, pending=True), pytest.raises(Overloaded):
            admission.admit(2, pending=True)
        with admission.admit(50):
            pass
    assert (admission.bulk, admission.held_bytes) == (0, 0)


async def test_who_steps_aside_keeps_the_bytes() -> None:
    """A joiner's place is free for others, but its text is in memory still."""
    admission = Admission(places=1, size=100)
    place = admission.admit(60)
    admission.step_aside(place)
    await admission.emptied()
    assert (admission.held, admission.held_bytes) == (0, 60)
    with admission.admit(40), pytest.raises(Overloaded):
        admission.admit(1)
    admission.release(place)
    admission.release(place)
    assert (admission.held, admission.held_bytes) == (0, 0)
