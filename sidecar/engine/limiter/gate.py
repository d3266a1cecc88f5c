"""Layer 6, the gate: the bounded queue and the worker pool in one. A grant of a slot is a worker's turn to call.

One gate a limit, which says when there is room for a call; the gate says whose call it is. A slot is held only during
a provider call. State changes are plain functions; `slot` is the only one that awaits.
"""

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from sidecar.core.errors import DeadlineExceeded, Overloaded, SidecarError, UpstreamFailure
from sidecar.engine.deadline import Point
from sidecar.engine.limiter.fair_queue import FairQueue, Ticket
from sidecar.engine.limiter.grant import Grant
from sidecar.engine.limiter.limit import Limit


class _Waiter:
    """A call that waits for its slot."""

    __slots__ = ("deadline", "future", "key", "ticket")

    def __init__(self, ticket: Ticket, deadline: Point, future: asyncio.Future[SidecarError | Grant]) -> None:
        self.ticket = ticket
        self.deadline = deadline
        self.future = future
        self.key = 0
        """What takes it out of the turns."""


class Gate:
    """Grants calls as the limit has room for them, in the order `FairQueue` says."""

    def __init__(self, limit: Limit, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit = limit
        self.closed = False
        """Whether nothing is granted."""
        self.running = 0
        """Calls that hold a slot now."""
        self.woken: Callable[[], None] | None = None
        """Called after room came by time, and not by a call's end."""
        self._clock = clock
        self._turns: FairQueue[_Waiter] = FairQueue()
        self._since: OrderedDict[_Waiter, float] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None
        self._due = math.inf
        """When the timer goes off."""

    def __repr__(self) -> str:
        return f"<Gate {self.running}/{self.limit.slots} slots, {self.waiting} waiting>"

    @property
    def waiting(self) -> int:
        """Calls that wait for a slot."""
        return len(self._turns)

    @property
    def oldest_wait(self) -> float:
        """Seconds that the call which waits longest has waited; 0 where none waits."""
        return self._clock() - next(iter(self._since.values())) if self._since else 0.0

    @asynccontextmanager
    async def slot(self, ticket: Ticket, *, deadline: Point, resumed: bool = False) -> AsyncIterator[Grant]:
        """Hold a slot for the `with` block; gives what the limit knew when it was granted.

        A call that would start after its deadline raises `DeadlineExceeded` and costs nothing. `resumed` keeps the
        turn that the request already had.
        """
        grant = await self._enter(ticket, deadline, resumed=resumed)
        try:
            yield grant
        finally:
            self._leave(ticket, grant)

    async def _enter(self, ticket: Ticket, deadline: Point, *, resumed: bool) -> Grant:
        future: asyncio.Future[SidecarError | Grant] = asyncio.get_running_loop().create_future()
        waiter = _Waiter(ticket, deadline, future)
        waiter.key = self._turns.push(ticket, waiter, resumed=resumed)
        self.grant()
        if not future.done():
            self._since[waiter] = self._clock()
            try:
                await asyncio.wait((future,))
            except asyncio.CancelledError:
                # Granted in the very moment the caller left: the slot goes on to the next.
                if future.done() and isinstance(granted := future.result(), Grant):
                    self._leave(ticket, granted)
                else:
                    self._turns.remove(ticket, waiter.key)
                raise
            finally:
                del self._since[waiter]
        outcome = future.result()
        if not isinstance(outcome, Grant):
            raise outcome
        return outcome

    def _leave(self, ticket: Ticket, grant: Grant) -> None:
        ticket.running -= 1
        self.running -= 1
        self.limit.ended(grant)
        self.grant()

    def grant(self) -> None:
        """Give room to who is next; call it whenever room or turns change."""
        if self.closed:
            return
        now = self._clock()
        while self._turns:
            room = self.limit.room(self.running)
            if room > now:
                if room < self._due:
                    self._wake_at(room, now)
                return
            waiter = self._turns.pop(self.limit.slots)
            if waiter is None:
                return
            if waiter.deadline.at <= now:
                waiter.ticket.running -= 1
                waiter.future.set_result(DeadlineExceeded())
                continue
            waiter.future.set_result(self.limit.grant(self.running))
            self.running += 1

    def _wake_at(self, point: float, now: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._due = point
        self._timer = asyncio.get_running_loop().call_later(point - now, self._woken)

    def _woken(self) -> None:
        self._timer, self._due = None, math.inf
        self.grant()
        if self.woken is not None:
            self.woken()

    def refuse_waiting(self, error: UpstreamFailure) -> None:
        """End every wait with `error`: none of them can be served."""
        while (waiter := self._turns.pop(self.limit.slots)) is not None:
            waiter.ticket.running -= 1
            waiter.future.set_result(error.again())

    def refuse_due(self, point: float, error: UpstreamFailure) -> None:
        """End the waits whose deadline comes before `point`, before which nothing is granted, with `error`."""
        for waiter in [waiter for waiter in self._since if waiter.deadline.at < point]:
            if not waiter.ticket.patient and self._turns.remove(waiter.ticket, waiter.key):
                waiter.future.set_result(error.again())

    def shed(self, each: float, spare: float, again: Callable[[float], float]) -> None:
        """End the waits that would go on beyond their deadline, where a call is granted every `each` seconds.

        A call needs `spare` seconds once it is granted. `again` says of so many seconds too late after how many seconds
        to come again.
        """
        now, due = self._clock(), 0.0
        for waiter in self._turns.order():
            due += each
            late = now + due + spare - waiter.deadline.at
            if late > 0 and not waiter.ticket.patient and self._turns.remove(waiter.ticket, waiter.key):
                due -= each
                waiter.future.set_result(Overloaded(retry_after=again(late)))

    def rank(self, user: str, *, background: bool = False) -> int:
        """Waiting calls that go before a new one of `user`, if turns go on as now."""
        return self._turns.rank(user, background=background)
