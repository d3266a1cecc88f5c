"""Layer 6, the gate: the bounded queue and the worker pool in one. A grant of a slot is a worker's turn to call.

Each limit has one gate: the limit decides when a call may be sent, the gate decides which call. A slot is held only
during a provider call. State changes are plain functions; only `slot` awaits.
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
        """Key of the call in the fair queue."""


class Gate:
    """Grants slots to calls as the limit allows, in the order of `FairQueue`."""

    def __init__(self, limit: Limit, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit = limit
        self.closed = False
        """Flag: all grants are withheld."""
        self.running = 0
        """Calls that hold a slot now."""
        self.on_timer: Callable[[], None] | None = None
        """Callback after the timer fired: the limit allowed a call by time, without the end of another."""
        self._clock = clock
        self._queue: FairQueue[_Waiter] = FairQueue()
        self._since: OrderedDict[_Waiter, float] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None
        self._due = math.inf
        """Point on the clock at which the timer fires."""

    def __repr__(self) -> str:
        return f"<Gate {self.running}/{self.limit.slots} slots, {self.waiting} waiting>"

    @property
    def waiting(self) -> int:
        """Count the calls that wait for a slot."""
        return len(self._queue)

    @property
    def oldest_wait(self) -> float:
        """Return the seconds that the oldest waiting call has waited; 0 for an empty queue."""
        return self._clock() - next(iter(self._since.values())) if self._since else 0.0

    @asynccontextmanager
    async def slot(self, ticket: Ticket, *, deadline: Point, resumed: bool = False) -> AsyncIterator[Grant]:
        """Hold a slot for the `with` block; yield its grant.

        Raises `DeadlineExceeded` for a call that would start after its deadline; such a call costs nothing. `resumed`
        keeps the turn that the request already had.
        """
        grant = await self._enter(ticket, deadline, resumed=resumed)
        try:
            yield grant
        finally:
            self._leave(ticket, grant)

    async def _enter(self, ticket: Ticket, deadline: Point, *, resumed: bool) -> Grant:
        future: asyncio.Future[SidecarError | Grant] = asyncio.get_running_loop().create_future()
        waiter = _Waiter(ticket, deadline, future)
        waiter.key = self._queue.push(ticket, waiter, resumed=resumed)
        self.grant()
        if not future.done():
            self._since[waiter] = self._clock()
            try:
                await asyncio.wait((future,))
            except asyncio.CancelledError:
                # The slot was granted in the moment the caller left: the next call gets it.
                if future.done() and isinstance(granted := future.result(), Grant):
                    self._leave(ticket, granted)
                else:
                    self._queue.remove(ticket, waiter.key)
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
        """Grant slots to the next calls as far as the limit allows; to be called whenever limit or queue change."""
        if self.closed:
            return
        now = self._clock()
        while self._queue:
            send_at = self.limit.send_at(self.running)
            if send_at > now:
                if send_at < self._due:
                    self._wake_at(send_at, now)
                return
            waiter = self._queue.pop(self.limit.slots)
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
        self._timer = asyncio.get_running_loop().call_later(point - now, self._timer_fired)

    def _timer_fired(self) -> None:
        self._timer, self._due = None, math.inf
        self.grant()
        if self.on_timer is not None:
            self.on_timer()

    def refuse_waiting(self, error: UpstreamFailure) -> None:
        """End every wait with `error`, since no waiting call can be served."""
        while (waiter := self._queue.pop(self.limit.slots)) is not None:
            waiter.ticket.running -= 1
            waiter.future.set_result(error.again())

    def refuse_due(self, point: float, error: UpstreamFailure) -> None:
        """End with `error` the waits whose deadline lies before `point`, the earliest point of a grant."""
        for waiter in [waiter for waiter in self._since if waiter.deadline.at < point]:
            if not waiter.ticket.patient and self._queue.remove(waiter.ticket, waiter.key):
                waiter.future.set_result(error.again())

    def shed(self, interval: float, duration: float, retry_after: Callable[[float], float]) -> None:
        """End the waits that would last beyond their deadline, where a call is granted every `interval` seconds.

        A granted call takes `duration` seconds. `retry_after` maps the seconds by which an answer would be late to the
        seconds of its `Retry-After`.
        """
        now, due = self._clock(), 0.0
        for waiter in self._queue.order():
            due += interval
            late = now + due + duration - waiter.deadline.at
            if late > 0 and not waiter.ticket.patient and self._queue.remove(waiter.ticket, waiter.key):
                due -= interval
                waiter.future.set_result(Overloaded(retry_after=retry_after(late)))

    def rank(self, user: str, *, background: bool = False) -> int:
        """Count the waiting calls that go before a new one of `user`, if turns go on as now."""
        return self._queue.rank(user, background=background)
