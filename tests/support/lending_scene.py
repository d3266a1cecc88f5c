"""A lender and its serving processes in virtual time: notes that travel, a provider that counts, processes that die."""

import asyncio
import os
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, cast

from sidecar.core.errors import RateLimited, SidecarError, UpstreamFailure
from sidecar.core.ports import Call, Completion
from sidecar.engine.deadline import Deadline
from sidecar.engine.limiter.ticket import Earlier, Ticket
from sidecar.engine.limiter.trace import Trace
from sidecar.engine.request import RequestContext
from sidecar.engine.service import Service
from sidecar.processes.block import Block, open_block
from sidecar.processes.lease import Lease
from sidecar.processes.lending import Borrower, Lender
from sidecar.processes.link import Link
from tests.support.engines import service_over
from tests.support.held_provider import HeldUpstream

LONGEST_NOTE = 0.003
"""Seconds that a note travels, at most."""


class CountedProvider(HeldUpstream):
    """Takes `slots` calls at once and refuses more; each takes a random time."""

    def __init__(self, slots: int, chance: random.Random) -> None:
        super().__init__()
        self.slots = slots
        self.peak = 0
        self.slow = False
        self._chance = chance

    async def complete(self, call: Call, *, deadline: float) -> Completion:
        self.calls.append(call)
        if self.running >= self.slots:
            await asyncio.sleep(0.002)
            raise RateLimited(scope="capacity", retryable=True)
        self.running += 1
        self.peak = max(self.peak, self.running)
        try:
            await asyncio.sleep(1.0 if self.slow else self._chance.choice((0.0, 0.002, 0.03, 0.2)))
        finally:
            self.running -= 1
        return Completion(text="An answer.")


class Way:
    """One direction of a link: notes arrive in order, each after a random time."""

    def __init__(self, arrives: Callable[[Any], None], chance: random.Random) -> None:
        self._arrives = arrives
        self._chance = chance
        self._last = 0.0
        self._numbers = 0
        self.cut = False

    def number(self) -> int:
        self._numbers += 1
        return self._numbers

    def tell(self, note: object) -> None:
        loop = asyncio.get_running_loop()
        self._last = max(self._last + 1e-9, loop.time() + self._chance.random() * LONGEST_NOTE)
        loop.call_at(self._last, self._arrive, note)

    def _arrive(self, note: object) -> None:
        if not self.cut:
            self._arrives(note)


class Process:
    """A serving process: its lease, and callers, whose requests end with it."""

    def __init__(self, scene: "Scene", index: int) -> None:
        self._scene = scene
        chance = scene.chance
        self._down = Way(self._take, chance)
        self.borrower: Borrower = scene.lender.borrower(self._down.tell)
        self.way = Way(self.borrower.report, chance)
        self.lease = Lease(
            cast("Link", self.way), scene.block, index, clock=scene.service.clock, others=lambda: self._asking
        )
        self._asking = 0
        self.callers: set[asyncio.Task[None]] = set()

    def _take(self, note: Any) -> None:
        if isinstance(note, asyncio.Future):
            if not note.done():
                note.set_result(None)
        elif not self.way.cut:
            self.lease.lend(note)

    def kill(self) -> None:
        """End at once; the parent hears of it later."""
        self.way.cut = True
        for caller in self.callers:
            caller.cancel()
        asyncio.get_running_loop().call_later(LONGEST_NOTE, self.borrower.lost)

    def call(self, user: str) -> asyncio.Task[None]:
        caller = asyncio.create_task(self._call(user))
        self.callers.add(caller)
        caller.add_done_callback(self.callers.discard)
        return caller

    async def _call(self, user: str) -> None:
        scene, now = self._scene, self._scene.service.clock()
        context = RequestContext(deadline=now + 60, request_id="r", route="ai", origin=user, arrived=now)
        if (loan := self.lease.take(context, action="chat")) is None:
            await self._ask(user, None)
            return
        scene.took_without_asking(user)
        error: SidecarError | None = None
        left = True
        try:
            await scene.provider.complete(scene.one, deadline=now + 60)
            loan.answered(1, 1)
            left = False
            scene.answered += 1
        except UpstreamFailure as failure:
            loan.failed(failure)
            loan.passed_on()
            await self._ask(user, Earlier(failure, loan.seconds))
        except asyncio.CancelledError as exc:
            loan.broken(exc)
            raise
        finally:
            loan.settled(error, left=left)

    async def _ask(self, user: str, earlier: Earlier | None) -> None:
        scene = self._scene
        self._asking += 1
        try:
            await asyncio.sleep(scene.chance.random() * LONGEST_NOTE)
            deadline = Deadline(scene.service.clock() + 60)
            ticket = Ticket(f"@{user}", earlier=earlier)
            await scene.service.kernel.calls.complete(scene.one, ticket, Trace(), deadline=deadline)
            self.borrower.came_back()
            reply: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._down.tell(reply)
            await reply
            scene.answered += 1
        finally:
            self._asking -= 1


class Scene:
    """A service of several processes. `lent` counts the calls that were sent without asking."""

    def __init__(self, block: Block, seed: int, *, ceiling: int, slots: int) -> None:
        self.chance = random.Random(seed)
        self.block = block
        self.provider = CountedProvider(slots, self.chance)
        self.service: Service = service_over(self.provider, concurrency=ceiling)
        self.lender = Lender(self.service.kernel.calls, self.service.log, block)
        self.one = Call(messages=(), max_tokens=1)
        self.answered = 0
        self.lent = 0
        self.processes = [Process(self, index) for index in range(block.processes)]

    def took_without_asking(self, user: str) -> None:
        """Check that nobody waits, and that no limit is known, in the moment in which a call goes out unasked."""
        self.lent += 1
        calls = self.service.kernel.calls
        assert not calls.gate.waiting, user
        assert calls.pool.only is not None
        assert calls.pool.only.limit.unset
        assert calls.pool.only.limit.breaker.opened_by is None

    def replace(self, index: int) -> None:
        """Kill a process; another one has its place."""
        self.processes[index].kill()
        self.block.clear(index)
        self.processes[index] = Process(self, index)


@asynccontextmanager
async def scene_of(seed: int, *, ceiling: int, slots: int, processes: int = 3) -> AsyncIterator[Scene]:
    """Open a scene."""
    fd = open_block(processes)
    try:
        yield Scene(Block(fd, processes), seed, ceiling=ceiling, slots=slots)
    finally:
        os.close(fd)


def bursts(scene: Scene, count: int, pause: float) -> Coroutine[Any, Any, list[asyncio.Task[None]]]:
    """Begin `count` calls of few users at random processes, with random pauses."""

    async def begin() -> list[asyncio.Task[None]]:
        callers = []
        for _ in range(count):
            callers.append(scene.chance.choice(scene.processes).call(f"u{scene.chance.randrange(5)}"))
            if scene.chance.random() < 0.3:
                await asyncio.sleep(scene.chance.random() * pause)
        return callers

    return begin()
