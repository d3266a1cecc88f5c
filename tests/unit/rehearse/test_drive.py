"""Promises of the drive, in virtual time: users come, wait and think as planned, and an end loses no click."""

import asyncio

import pytest

from sidecar.rehearse.drive import Log, drive
from sidecar.rehearse.plan import Plan, User, users_of
from sidecar.rehearse.replies import Reply
from tests.support.virtual_time import in_virtual_time


async def driven(plan: Plan, seconds: float = 1.0, stop_after: float | None = None) -> Log:
    """Drive a class whose every click takes `seconds`."""

    async def press(user: User, click: int) -> Reply:
        await asyncio.sleep(seconds)
        return Reply("ok")

    log, stop = Log(), asyncio.Event()
    if stop_after is not None:
        asyncio.get_running_loop().call_later(stop_after, stop.set)
    await drive(plan, users_of(plan), press, log, stop)
    return log


@in_virtual_time
async def test_users_come_at_their_times() -> None:
    """Each click begins when the plan says."""
    plan = Plan(users=50, within=30)
    log = await driven(plan)
    starts = sorted(click.start for click in log.clicks)
    assert starts == pytest.approx([user.arrival for user in users_of(plan)])
    assert log.seconds == pytest.approx(max(starts) + 1)
    assert log.behind == pytest.approx(0)


@in_virtual_time
async def test_a_user_thinks_between_an_answer_and_the_next_click() -> None:
    """One click at a time: 1 s to the answer, 4 s of thought, three times."""
    log = await driven(Plan(users=1, within=0, clicks=3, think=4))
    assert [(click.start, click.end) for click in log.clicks] == [(0, 1), (5, 6), (10, 11)]


@in_virtual_time
async def test_the_most_that_wait_at_once_are_counted() -> None:
    """A class that comes in one moment holds a worker each."""
    log = await driven(Plan(users=40, within=0))
    assert (log.most_waiting, log.waiting, log.counts["answered"]) == (40, 0, 40)


@in_virtual_time
async def test_a_stop_ends_the_class_and_counts_what_was_under_way() -> None:
    """Clicks that waited are unfinished, later users never come, and what was answered stays."""
    log = await driven(Plan(users=20, within=0, clicks=2, think=10), seconds=3, stop_after=4)
    assert log.counts["answered"] == 20
    late = await driven(Plan(users=20, within=0), seconds=30, stop_after=4)
    assert late.counts["unfinished"] == 20
    assert late.seconds == pytest.approx(4)
    assert late.waiting == 0


@in_virtual_time
async def test_a_fault_of_the_rehearsal_is_not_hidden() -> None:
    """It ends the class and comes out."""

    async def press(user: User, click: int) -> Reply:
        raise RuntimeError("a fault")

    with pytest.raises(ExceptionGroup, match="unhandled errors") as caught:
        await drive(Plan(users=1, within=0), users_of(Plan(users=1, within=0)), press, Log(), asyncio.Event())
    assert caught.group_contains(RuntimeError, match="a fault")
