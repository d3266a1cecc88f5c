"""Layer 6, the gate: the bounded queue and the worker pool in one. A grant of a slot is a worker's turn to call.

One gate a process. A slot is held only during a provider call. State changes are plain functions; `slot` is the
only one that awaits.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from sidecar.engine.deadline import Point
from sidecar.engine.turns import Ticket, Turns
from sidecar.words.errors import DeadlineExceeded, SidecarError, UpstreamFailure


class _Waiter:
    """A call that waits for its slot."""

    __slots__ = ("deadline", "future", "key", "ticket")

    def __init__(self, ticket: Ticket, deadline: Point, future: asyncio.Future[SidecarError | None]) -> None:
        self.ticket = ticket
        self.deadline = deadline
        self.future = future
        self.key = 0
        """What takes it out of the turns."""


class Gate:
    """Grants at most `slots` calls at once, in the order `Turns` says."""

    def __init__(self, *, slots: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.slots = slots
        """The most calls at once; may change while calls run (then it holds for the next grant)."""
        self.running = 0
        """Calls that hold a slot now."""
        self._clock = clock
        self._turns: Turns[_Waiter] = Turns()
        self._since: OrderedDict[_Waiter, float] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Gate {self.running}/{self.slots} slots, {self.waiting} waiting>"

    @property
    def waiting(self) -> int:
        """Calls that wait for a slot."""
        return len(self._turns)

    @property
    def oldest_wait(self) -> float:
        """Seconds that the call which waits longest has waited; 0 where none waits."""
        return self._clock() - next(iter(self._since.values())) if self._since else 0.0

    @asynccontextmanager
    async def slot(self, ticket: Ticket, *, deadline: Point, resumed: bool = False) -> AsyncIterator[float]:
        """Hold a slot for the `with` block; gives the seconds waited for it.

        A call that would start after its deadline raises `DeadlineExceeded` and costs nothing. `resumed` keeps the
        turn that the request already had.
        """
        waited = await self._enter(ticket, deadline, resumed=resumed)
        try:
            yield waited
        finally:
            self._leave(ticket)

    async def _enter(self, ticket: Ticket, deadline: Point, *, resumed: bool) -> float:
        since = self._clock()
        future: asyncio.Future[SidecarError | None] = asyncio.get_running_loop().create_future()
        waiter = _Waiter(ticket, deadline, future)
        waiter.key = self._turns.push(ticket, waiter, resumed=resumed)
        self.grant()
        if not future.done():
            self._since[waiter] = since
            try:
                await asyncio.wait((future,))
            except asyncio.CancelledError:
                # Granted in the very moment the caller left: the slot goes on to the next.
                if future.done() and future.result() is None:
                    self._leave(ticket)
                else:
                    self._turns.remove(ticket, waiter.key)
                    self.grant()
                raise
            finally:
                del self._since[waiter]
        if (refusal := future.result()) is not None:
            raise refusal
        return self._clock() - since

    def _leave(self, ticket: Ticket) -> None:
        ticket.running -= 1
        self.running -= 1
        self.grant()

    def grant(self) -> None:
        """Give free slots to who is next; call it whenever slots or turns change."""
        while self.running < self.slots and (waiter := self._turns.pop(self.slots)) is not None:
            if waiter.deadline.at <= self._clock():
                waiter.ticket.running -= 1
                waiter.future.set_result(DeadlineExceeded())
                continue
            self.running += 1
            waiter.future.set_result(None)

    def refuse_waiting(self, error: UpstreamFailure) -> None:
        """End every wait with `error`: none of them can be served."""
        while (waiter := self._turns.pop(self.slots)) is not None:
            waiter.ticket.running -= 1
            waiter.future.set_result(error.again())

    def refuse_due(self, point: float, error: UpstreamFailure) -> None:
        """End the waits whose deadline comes before `point`, before which nothing is granted, with `error`."""
        for waiter in [waiter for waiter in self._since if waiter.deadline.at < point]:
            if not waiter.ticket.patient and self._turns.remove(waiter.ticket, waiter.key):
                waiter.future.set_result(error.again())

    def rank(self, user: str, *, background: bool = False) -> int:
        """Waiting calls that go before a new one of `user`, if turns go on as now."""
        return self._turns.rank(user, background=background)
