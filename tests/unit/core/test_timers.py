"""Promises of timers that share one of the loop's, in virtual time."""

import asyncio
from functools import partial

from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.core.timers import Timers
from tests.support.scale import scaled
from tests.support.virtual_time import run


@settings(max_examples=scaled(40, 2_000))
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 12), st.integers(0, 14)), max_size=120))
def test_each_fires_at_its_time_unless_it_was_cancelled_before(plan: list[tuple[int, int, int]]) -> None:
    """Whenever they were made and cancelled, and however many there are; times are whole seconds."""
    fired: list[tuple[float, int]] = []

    async def scene() -> int:
        loop, timers = asyncio.get_running_loop(), Timers()
        began = loop.time()

        async def one(number: int, made: int, due: int, cancelled: int) -> None:
            await asyncio.sleep(made + 0.5)
            timer = timers.call_at(began + made + due, lambda: fired.append((loop.time() - began, number)))
            await asyncio.sleep(cancelled)
            timer.cancel()
            timer.cancel()

        await asyncio.gather(*(one(number, *times) for number, times in enumerate(plan)))
        return len(timers)

    assert run(scene()) == 0
    # One that is due before it is made fires at once.
    assert sorted((round(at, 1), number) for at, number in fired) == sorted(
        (max(made + due, made + 0.5), number)
        for number, (made, due, cancelled) in enumerate(plan)
        if max(due - 0.5, 0) < cancelled
    )


def test_a_callback_that_sets_a_later_timer_delays_none() -> None:
    """Nor does one that fails."""

    async def scene() -> list[float]:
        loop, timers = asyncio.get_running_loop(), Timers()
        began, fired = loop.time(), list[float]()
        loop.set_exception_handler(lambda _loop, _context: None)

        def again() -> None:
            timers.call_at(began + 9, lambda: fired.append(loop.time() - began))
            raise RuntimeError

        timers.call_at(began + 1, again)
        timers.call_at(began + 2, lambda: fired.append(loop.time() - began))
        await asyncio.sleep(10)
        return fired

    assert [round(at) for at in run(scene())] == [2, 9]


def test_cancelled_timers_do_not_pile_up() -> None:
    """A busy server cancels thousands of deadlines before the first of them is due."""

    async def scene() -> int:
        loop, timers = asyncio.get_running_loop(), Timers()
        last = timers.call_at(loop.time() + 1_000, lambda: None)
        for _ in range(10_000):
            timers.call_at(loop.time() + 500, lambda: None).cancel()
        held = timers.held
        last.cancel()
        return held + timers.held

    assert run(scene()) < 100


def test_those_that_are_left_fire_at_their_times() -> None:
    """After a sweep too, whatever the order in which they were made."""
    dues = [(number * 37) % 101 + 1 for number in range(300)]
    fired: list[tuple[int, float]] = []

    async def scene() -> None:
        loop, timers = asyncio.get_running_loop(), Timers()
        began = loop.time()

        def note(due: int) -> None:
            fired.append((due, loop.time() - began))

        made = [timers.call_at(began + due, partial(note, due)) for due in dues]
        for number, timer in enumerate(made):
            if number % 7:
                timer.cancel()
        await asyncio.sleep(200)

    run(scene())
    assert fired == [(due, float(due)) for due in sorted(dues[::7])]


def test_a_callback_may_cancel_and_make_others() -> None:
    """Also the last one, at the same moment."""
    fired: list[str] = []

    async def scene() -> int:
        loop, timers = asyncio.get_running_loop(), Timers()
        at = loop.time() + 1

        def first() -> None:
            fired.append("first")
            second.cancel()
            timers.call_at(at, lambda: fired.append("third"))

        timers.call_at(at, first)
        second = timers.call_at(at + 0.0005, lambda: fired.append("second"))
        await asyncio.sleep(5)
        return len(timers)

    assert run(scene()) == 0
    assert fired == ["first", "third"]
