"""Promises of the time limit of a block, in virtual time: those of `asyncio.timeout_at`."""

import asyncio

import pytest

from sidecar.core.until import Until
from tests.support.virtual_time import run


def test_a_block_ends_at_its_point() -> None:
    """The waiting code is cancelled, the block raises, and the task goes on as if nobody had cancelled it."""

    async def scene() -> tuple[float, int]:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        began = loop.time()
        with pytest.raises(TimeoutError), Until(began + 5):
            await asyncio.sleep(60)
        assert task is not None
        return loop.time() - began, task.cancelling()

    assert run(scene()) == (5.0, 0)


def test_a_block_that_is_done_before_is_left_alone() -> None:
    """So is a block without an end, and what the task does afterwards."""

    async def scene() -> float:
        loop = asyncio.get_running_loop()
        began = loop.time()
        with Until(began + 5), Until(float("inf")):
            await asyncio.sleep(1)
        await asyncio.sleep(60)
        return loop.time() - began

    assert run(scene()) == 61.0


def test_the_point_moves() -> None:
    """Later and sooner, into the past too."""

    async def moved(first: float, then: float) -> None:
        with Until(first) as block:
            block.move(then)
            await asyncio.sleep(60)

    async def scene() -> list[float]:
        loop, ends = asyncio.get_running_loop(), []
        for move in (7.0, 2.0, -1.0):
            began = loop.time()
            with pytest.raises(TimeoutError):
                await moved(began + 5, began + move)
            ends.append(loop.time() - began)
        return ends

    assert run(scene()) == [7.0, 2.0, 0.0]


def test_the_inner_of_two_limits_is_not_taken_for_the_outer() -> None:
    """Each raises for itself."""

    async def scene() -> str:
        loop = asyncio.get_running_loop()
        try:
            with Until(loop.time() + 10):
                try:
                    with Until(loop.time() + 5):
                        await asyncio.sleep(60)
                except TimeoutError:
                    await asyncio.sleep(1)
                return "inner"
        except TimeoutError:
            return "outer"

    assert run(scene()) == "inner"


def test_a_caller_who_leaves_in_the_same_turn_stays_gone() -> None:
    """A cancel from outside is no timeout, even together with one."""

    async def limited() -> None:
        with Until(asyncio.get_running_loop().time() + 5):
            await asyncio.sleep(60)

    async def scene() -> bool:
        task = asyncio.create_task(limited())
        asyncio.get_running_loop().call_later(5, task.cancel)
        await asyncio.wait((task,))
        return task.cancelled()

    assert run(scene())
