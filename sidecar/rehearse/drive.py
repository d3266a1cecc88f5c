"""The class at work: each user arrives, clicks, waits and thinks. The clicks are collected as they end."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from sidecar.rehearse.plan import Plan, User
from sidecar.rehearse.replies import UNFINISHED, Click, Kind, Reply

Press = Callable[[User, int], Awaitable[Reply]]
"""Port: sends click number `int` of a user, and returns its outcome."""

KINDS: Final[tuple[Kind, ...]] = ("answered", "refused", "late", "error", "unfinished")


class Log:
    """Clicks of a class so far. Times are in seconds after the start."""

    def __init__(self) -> None:
        self.clicks: list[Click] = []
        self.counts: dict[Kind, int] = dict.fromkeys(KINDS, 0)
        self.waiting = 0
        """Clicks without an outcome now; each holds a PHP worker."""
        self.most_waiting = 0
        self.behind = 0.0
        """Most seconds that a user came later than planned, because this process was too busy."""
        self.seconds = 0.0
        """Length of the rehearsal, set at its end."""

    def begin(self) -> None:
        self.waiting += 1
        self.most_waiting = max(self.most_waiting, self.waiting)

    def end(self, click: Click) -> None:
        self.waiting -= 1
        self.clicks.append(click)
        self.counts[click.kind] += 1


async def drive(plan: Plan, users: list[User], press: Press, log: Log, stop: asyncio.Event) -> None:
    """Let every user click, until all have ended or `stop` is set; clicks without an outcome then are `unfinished`."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    everyone = asyncio.create_task(_everyone(plan, users, press, log, start), name="class")
    stopped = asyncio.create_task(stop.wait(), name="stop of the class")
    try:
        await asyncio.wait({everyone, stopped}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        everyone.cancel()
        stopped.cancel()
        await asyncio.gather(everyone, stopped, return_exceptions=True)
        log.seconds = loop.time() - start
    if not everyone.cancelled():
        everyone.result()


async def _everyone(plan: Plan, users: list[User], press: Press, log: Log, start: float) -> None:
    async with asyncio.TaskGroup() as group:
        for user in users:
            group.create_task(_one(plan, user, press, log, start), name=f"user {user.number}")


async def _one(plan: Plan, user: User, press: Press, log: Log, start: float) -> None:
    loop = asyncio.get_running_loop()
    await asyncio.sleep(max(0.0, start + user.arrival - loop.time()))
    log.behind = max(log.behind, loop.time() - start - user.arrival)
    for number in range(plan.clicks):
        if number:
            await asyncio.sleep(plan.think)
        await _click(user, number, press, log, start)


async def _click(user: User, number: int, press: Press, log: Log, start: float) -> None:
    loop = asyncio.get_running_loop()
    began, reply = loop.time() - start, Reply(UNFINISHED)
    log.begin()
    try:
        reply = await press(user, number)
    finally:
        log.end(Click(began, loop.time() - start, reply))
