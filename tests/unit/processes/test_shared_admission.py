"""Promises of admission over several processes: one bound, and nothing is held for ever by a process that is gone."""

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.errors import Overloaded
from sidecar.engine.admission import Place
from sidecar.processes.admission import SharedAdmission
from sidecar.processes.block import BULK, BYTES, HELD, PENDING, Block, open_block
from sidecar.processes.turns import MORE, SharedTurns

PLACES, SIZE, PROCESSES = 6, 1000, 3
COLUMNS = (HELD, BYTES, PENDING, BULK)


@contextmanager
def block() -> Iterator[Block]:
    fd = open_block(PROCESSES)
    try:
        yield Block(fd, PROCESSES)
    finally:
        os.close(fd)


def admission(shared: Block, index: int) -> SharedAdmission:
    return SharedAdmission(shared, index, places=PLACES, size=SIZE)


def act(step: str, end: SharedAdmission, held: list[Place], number: int) -> None:
    """Do one step of a process that holds these places."""
    if step in {"admit", "pending", "bulk"}:
        held.append(end.admit(number, pending=step == "pending", bulk=step == "bulk"))
    elif held:
        place = held[number % len(held)]
        match step:
            case "release":
                held.remove(place)
                end.release(place)
            case "arrived":
                place.arrived()
            case "aside":
                place.step_aside()
            case _:
                place.resize(number)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["admit", "pending", "bulk", "release", "arrived", "aside", "resize", "kill"]),
        st.integers(0, PROCESSES - 1),
        st.integers(0, 400),
    ),
    max_size=60,
)


@given(STEPS)
def test_the_bounds_hold_whatever_happens(steps: list[tuple[str, int, int]]) -> None:
    """Places and bytes of all processes stay within the bounds; the block is what the living ones hold, to the byte."""
    with block() as shared:
        ends = [admission(shared, index) for index in range(PROCESSES)]
        places: list[list[Place]] = [[] for _ in range(PROCESSES)]
        for step, index, number in steps:
            held = places[index]
            if step == "kill":  # the parent clears the row, and a new process begins with nothing
                shared.clear(index)
                ends[index], places[index] = admission(shared, index), []
            else:
                with contextlib.suppress(Overloaded):
                    act(step, ends[index], held, number)
            for row, end in zip(shared.rows, ends, strict=True):
                assert [row[at] for at in COLUMNS] == [end.held, end.held_bytes, end.pending, end.bulk]
            assert shared.total(HELD) <= PLACES
            assert shared.total(BYTES) <= SIZE
        for held in places:
            for place in held:
                with place:
                    pass
        assert [shared.total(column) for column in COLUMNS] == [0, 0, 0, 0]


def test_a_full_service_is_full_for_each_process() -> None:
    """The cause says what is used up, wherever it is used."""
    with block() as shared:
        one, two = admission(shared, 0), admission(shared, 1)
        places = [one.admit(10) for _ in range(PLACES)]
        with pytest.raises(Overloaded) as caught:
            two.admit()
        assert caught.value.cause == "places"
        with places.pop():
            pass
        with pytest.raises(Overloaded) as caught:
            two.admit(SIZE)
        assert caught.value.cause == "bytes"
        with two.admit(SIZE - 10 * len(places)):
            assert two.held == 1


def test_a_process_with_more_connections_lets_the_others_accept_first() -> None:
    """Only those that accept count, and an equal share waits for nobody."""
    with block() as shared:
        one = SharedTurns(shared, 0)
        assert one.wait(100) == 0.0
        two = SharedTurns(shared, 1)
        two.count(4)
        assert one.wait(4 + MORE) == 0.0
        assert one.wait(5 + MORE) > 0.0
        assert two.wait(4) == 0.0
        two.stop()
        assert one.wait(100) == 0.0
