"""Promises of places lent to serving processes, in virtual time: one ceiling, one queue, and nothing is lost."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.processes.lease import LEAST, REPORT_SECONDS, WINDOW_SECONDS
from sidecar.processes.messages import Report
from tests.support.lending_scene import LONGEST_NOTE, Scene, bursts, scene_of
from tests.support.virtual_time import in_virtual_time, run

SETTLED = 2 * WINDOW_SECONDS + 1.0
"""Seconds after which every note has arrived, and nothing is lent beyond the least."""


def assert_at_rest(scene: Scene) -> None:
    """Nothing runs or waits, and what both ends think of each lease is the same."""
    gate = scene.service.kernel.calls.gate
    assert (gate.running, gate.waiting, scene.provider.running) == (0, 0, 0)
    sizes = [process.lease.size for process in scene.processes]
    assert [process.borrower.size for process in scene.processes] == sizes
    assert gate.lent == sum(sizes)
    assert all(size <= LEAST for size in sizes)
    assert len(scene.lender._borrowers) == len(sizes)
    assert not any(process.borrower.loans or process.lease.running for process in scene.processes)


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32), ceiling=st.integers(1, 24), pause=st.sampled_from((0.001, 0.01, 0.1)))
def test_no_more_calls_than_the_ceiling_whatever_happens(seed: int, ceiling: int, pause: float) -> None:
    """Callers come, leave and wait, notes are late: the bound holds, nobody is passed over, and all is given back."""

    async def main() -> None:
        async with scene_of(seed, ceiling=ceiling, slots=1000) as scene:
            callers = await bursts(scene, 120, pause)
            left = [caller for caller in callers if scene.chance.random() < 0.1 and caller.cancel()]
            ended = await asyncio.gather(*callers, return_exceptions=True)
            assert [end for end in ended if isinstance(end, Exception)] == []
            assert scene.answered >= len(callers) - len(left)
            assert scene.provider.peak <= ceiling
            await asyncio.sleep(SETTLED)
            assert_at_rest(scene)

    run(main())


@settings(max_examples=15)
@given(seed=st.integers(0, 2**32), ceiling=st.integers(2, 24))
def test_places_of_killed_processes_return(seed: int, ceiling: int) -> None:
    """Processes die at any moment, and others take their place: the ceiling holds, and is whole again afterwards."""

    async def main() -> None:
        async with scene_of(seed, ceiling=ceiling, slots=1000) as scene:
            callers = []
            for _ in range(6):
                callers += await bursts(scene, 20, 0.01)
                scene.replace(scene.chance.randrange(len(scene.processes)))
            await asyncio.gather(*callers, return_exceptions=True)
            assert scene.provider.peak <= ceiling
            await asyncio.sleep(SETTLED)
            assert_at_rest(scene)

    run(main())


@settings(max_examples=10)
@given(seed=st.integers(0, 2**32))
def test_the_limit_that_is_found_is_one_services(seed: int) -> None:
    """A provider refuses beyond eight: all are answered, and no call is sent unasked once a refusal is known."""

    async def main() -> None:
        async with scene_of(seed, ceiling=24, slots=8) as scene:
            callers = await bursts(scene, 30, 0.2)
            callers += await bursts(scene, 150, 0.002)
            await asyncio.gather(*callers)
            assert scene.answered == 180
            assert scene.service.kernel.calls.limit.found <= 12
            await asyncio.sleep(SETTLED)
            assert scene.service.kernel.calls.gate.lent == 0

    run(main())


@in_virtual_time
async def test_a_steady_load_below_the_ceiling_hardly_asks() -> None:
    """Whatever its spread over the processes: that is what leases are for."""
    async with scene_of(1, ceiling=24, slots=1000) as scene:
        for _ in range(40):
            await asyncio.gather(*(scene.processes[n % 5 % 3].call(f"u{n}") for n in range(20)))
        assert scene.lent > 0.9 * scene.answered


@pytest.mark.parametrize("share", [12, 13, 17])
def test_as_many_callers_as_the_ceiling_hardly_ask(share: int) -> None:
    """However they are spread: each process comes to have as many places as it has callers."""

    async def main() -> None:
        async with scene_of(share, ceiling=24, slots=1000, processes=2) as scene:

            async def caller(number: int) -> None:
                for _ in range(60):
                    await scene.processes[number < share].call(f"u{number}")

            await asyncio.gather(*map(caller, range(24)))
            assert scene.provider.peak <= 24
            assert scene.lent > 0.9 * scene.answered

    run(main())


@in_virtual_time
async def test_places_that_nobody_needs_go_back() -> None:
    """A burst at one process does not keep the others from theirs for longer than a window or two."""
    async with scene_of(2, ceiling=24, slots=1000) as scene:
        for _ in range(10):
            await asyncio.gather(*(scene.processes[0].call(f"u{n}") for n in range(20)))
        assert scene.processes[0].lease.size >= 16
        await asyncio.sleep(SETTLED)
        assert_at_rest(scene)


@in_virtual_time
async def test_a_call_that_waits_has_the_next_place_whoever_was_lent_it() -> None:
    """All places are lent and free: a caller who must ask waits for two notes, and for nobody's call."""
    async with scene_of(3, ceiling=8, slots=1000, processes=2) as scene:
        one, two = scene.processes
        for _ in range(5):
            await asyncio.gather(*(one.call(f"u{n}") for n in range(8)))
        await asyncio.sleep(WINDOW_SECONDS / 4)
        gate = scene.service.kernel.calls.gate
        assert (gate.lent, gate.running) == (8, 0)
        before = len(scene.provider.calls)
        asked = two.call("other")
        await asyncio.sleep(3 * LONGEST_NOTE)
        assert len(scene.provider.calls) == before + 1
        await asked


@in_virtual_time
async def test_a_report_from_before_the_last_note_takes_nothing_back() -> None:
    """The process may use what is on its way to it, however few places it had when it wrote."""
    async with scene_of(5, ceiling=8, slots=1000, processes=2) as scene:
        borrower = scene.processes[0].borrower
        borrower.report(Report(0, 0, 0, 3, []))
        lent = borrower.size
        assert lent >= 3
        borrower.report(Report(0, 0, 0, 0, []))
        assert (borrower.size, scene.service.kernel.calls.gate.lent) == (lent, lent)
        borrower.report(Report(0, 1, 2, 0, []))
        assert (borrower.size, scene.service.kernel.calls.gate.lent) == (2, 2)


@in_virtual_time
async def test_a_refusal_counts_the_calls_that_other_processes_have_not_reported() -> None:
    """The limit falls to the calls in flight, as one service has it, not to those that the parent has heard of."""
    async with scene_of(6, ceiling=24, slots=1000, processes=2) as scene:
        both = scene.processes * 10
        for _ in range(3):
            await asyncio.gather(*(process.call(f"u{n}") for n, process in enumerate(both)))
        await asyncio.sleep(WINDOW_SECONDS / 4)
        scene.provider.slots, scene.provider.slow, before = 14, True, scene.lent
        calls = [process.call(f"u{n}") for n, process in enumerate(sorted(both, key=scene.processes.index))]
        await asyncio.sleep(REPORT_SECONDS / 2)
        assert scene.lent == before + 20
        assert 13 <= scene.service.kernel.calls.limit.found <= 15
        await asyncio.gather(*calls)
