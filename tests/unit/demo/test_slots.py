"""Promises of the demo provider's slots: how many calls it takes at once, and who waits in which order."""

import asyncio

import pytest

from sidecar.demo.slots import UNLIMITED, Slots


async def test_slots_refuse_beyond_the_limit_and_come_back() -> None:
    """As many as the limit, not one more, until one is given back."""
    slots = Slots(lambda: 2)
    assert [slots.take() for _ in range(3)] == [True, True, False]
    slots.release()
    assert slots.take()
    assert (slots.in_use, slots.peak) == (2, 2)


async def test_who_waits_for_a_slot_goes_in_order() -> None:
    """The line is first come, first served, and nobody overtakes it."""
    slots, order = Slots(lambda: 1), list[int]()
    slots.take()

    async def caller(number: int) -> None:
        await slots.wait()
        order.append(number)
        slots.release()

    async with asyncio.TaskGroup() as group:
        for number in range(4):
            group.create_task(caller(number))
        await asyncio.sleep(0)
        assert slots.waiting == 4
        assert not slots.take()
        slots.release()
    assert order == [0, 1, 2, 3]
    assert (slots.in_use, slots.waiting) == (0, 0)


@pytest.mark.parametrize("granted", [True, False])
async def test_who_leaves_the_line_takes_no_slot_along(granted: bool) -> None:
    """A caller who leaves while waiting, even in the moment of the grant, leaves the slot to the next."""
    slots = Slots(lambda: 1)
    slots.take()
    leaver = asyncio.create_task(slots.wait())
    stayer = asyncio.create_task(slots.wait())
    await asyncio.sleep(0)
    if granted:
        slots.release()
    leaver.cancel()
    if not granted:
        slots.release()
    await stayer
    assert leaver.cancelled()
    assert (slots.in_use, slots.waiting) == (1, 0)


async def test_a_raised_limit_lets_the_line_in() -> None:
    """A waiting caller goes on when there is more room, not only when another one leaves."""
    room = 1
    slots = Slots(lambda: room)
    slots.take()
    waiting = [asyncio.create_task(slots.wait()) for _ in range(3)]
    await asyncio.sleep(0)
    room = 3
    slots.wake()
    await asyncio.gather(*waiting[:2])
    assert (slots.in_use, slots.waiting) == (3, 1)
    room = UNLIMITED
    slots.wake()
    await waiting[2]
