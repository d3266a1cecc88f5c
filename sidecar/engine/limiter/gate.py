"""Layer 6, the gate: the bounded queue and the worker pool in one. A grant of a slot is a worker's turn to call.

The limits of the providers decide when and where a call may be sent, the gate decides which call. A slot is held only
during a provider call. State changes are plain functions; only `enter` awaits.
"""

import asyncio
import math
import time
from collections.abc import Callable, Collection
from typing import Any, Final

from sidecar.core.errors import DeadlineExceeded, Overloaded, SidecarError, UpstreamFailure
from sidecar.core.reach import NoProvider, Reach
from sidecar.engine.deadline import Point
from sidecar.engine.limiter.fair_queue import FairQueue
from sidecar.engine.limiter.grant import Grant
from sidecar.engine.limiter.pool import Pool
from sidecar.engine.limiter.provider import Passed, Provider
from sidecar.engine.limiter.ticket import Streams, Ticket

Granted = tuple[Provider, Grant]
"""A slot: the provider that the call goes to, and its grant."""

_NOTHING_PASSED: Final = Passed()


class _Waiter(asyncio.Future[SidecarError | Granted]):
    """A call that waits for its slot: a future that leaves the queue in the moment in which it is cancelled.

    `asyncio.wait` would leave the future alone, at a kilobyte for each caller that waits; so would parts of their own.
    """

    __slots__ = ("deadline", "key", "passed", "queue", "ticket")

    def __init__(self, ticket: Ticket, deadline: Point, passed: Passed | None, queue: "FairQueue[_Waiter]") -> None:
        super().__init__()
        self.ticket = ticket
        self.deadline = deadline
        self.passed = passed
        """The providers that the call passes over; None where there is one provider."""
        self.queue = queue
        self.key = 0
        """Key of the call in the fair queue."""

    def cancel(self, msg: Any | None = None) -> bool:
        cancelled = super().cancel(msg)
        if cancelled:
            self.queue.remove(self.ticket, self.key)
        return cancelled


class Gate:
    """Grants slots to calls as the limits allow, in the order of `FairQueue`."""

    def __init__(self, pool: Pool, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.pool = pool
        self.closed = False
        """Flag: all grants are withheld."""
        self.running = 0
        """Calls that hold a slot now."""
        self.lent = 0
        """Free places that serving processes may fill without a word here, so that no other call has them."""
        self.crowded: Callable[[], None] | None = None
        """Callback once a call waits."""
        self.unreported: Callable[[], int] = int
        """Counts the calls in flight that serving processes have not reported yet."""
        self.on_timer: Callable[[], None] | None = None
        """Callback after the timer fired: the limit allowed a call by time, without the end of another."""
        self._clock = clock
        self._queue: FairQueue[_Waiter] = FairQueue(Streams(pool.related))
        self._since: dict[_Waiter, float] = {}
        self._failed: set[_Waiter] = set()
        """Waiting calls that pass over a provider where they failed."""
        self._timer: asyncio.TimerHandle | None = None
        self._due = math.inf
        """Point on the clock at which the timer fires."""

    def __repr__(self) -> str:
        return f"<Gate {self.running}/{self.pool.limit.slots} slots, {self.waiting} waiting>"

    @property
    def waiting(self) -> int:
        """Count the calls that wait for a slot."""
        return len(self._queue)

    @property
    def oldest_wait(self) -> float:
        """Return the seconds that the oldest waiting call has waited; 0 for an empty queue."""
        return self._clock() - next(iter(self._since.values())) if self._since else 0.0

    @property
    def reaches(self) -> Collection[Reach]:
        """Return the reaches of the waiting calls."""
        return self._queue.reaches

    def waiting_of(self, reach: Reach) -> int:
        """Count the waiting calls of this very reach."""
        return int(self._queue.waiting(lambda other: float(other == reach)))

    def ahead(self, user: str, reach: Reach, *, background: bool, weight: Callable[[Reach], float]) -> float:
        """Count the waiting calls that go before a new one of `user`, if turns go on as now; see `FairQueue.rank`."""
        rank = self._queue.rank(user, reach, background=background, weight=weight)
        return min(rank, self._queue.waiting(weight))

    def has_room(self, reach: Reach) -> bool:
        """Return whether a new call of this reach would have a slot at once: no waiting call may have that one."""
        if (only := self.pool.only) is not None:
            return only.running < only.limit.slots and not self._queue
        return not self.closed and self.running < self.pool.most and self.pool.has_room(reach, self._clock())

    async def enter(
        self, ticket: Ticket, deadline: Point, passed: Passed | None = None, *, resumed: bool = False
    ) -> Granted:
        """Return a slot, which `leave` gives back: the provider that has it, and the grant.

        Raises `DeadlineExceeded` for a call that would start after its deadline; such a call costs nothing. `resumed`
        keeps the turn that the request already had; `passed` has the providers that the call passes over.
        """
        if (free := self._enter_now(ticket, deadline)) is not None:
            return free
        waiter = _Waiter(ticket, deadline, passed, self._queue)
        waiter.key = self._queue.push(ticket, waiter, resumed=resumed)
        self.grant()
        if not waiter.done():
            self._since[waiter] = self._clock()
            if passed is not None and passed.failed:
                self._failed.add(waiter)
            if self.crowded is not None:
                self.crowded()
            try:
                await waiter
            except asyncio.CancelledError:
                # The slot was granted in the moment the caller left: the next call gets it.
                if not waiter.cancelled() and isinstance(granted := waiter.result(), tuple):
                    self.leave(ticket, granted)
                raise
            finally:
                del self._since[waiter]
                self._failed.discard(waiter)
        outcome = waiter.result()
        if isinstance(outcome, SidecarError):
            raise outcome
        return outcome

    def _enter_now(self, ticket: Ticket, deadline: Point) -> Granted | None:
        """Return the slot of a call that finds a free one at the only provider, and nobody before it."""
        only, now = self.pool.only, self._clock()
        if only is None or self.closed or self._queue or self.running >= self.pool.most or deadline.at <= now:
            return None
        if only.limit.send_at(only.running + self.lent) > now or not only.serves(ticket.reach):
            return None
        self._queue.passed(ticket)
        return self._granted(only)

    def adopt(self, ticket: Ticket, provider: Provider, sent: Grant) -> Granted:
        """Count a call that a serving process sent from a place lent to it; return its slot, as `enter` does."""
        self._queue.passed(ticket)
        provider.running += 1
        self.running += 1
        provider.limit.adopt(sent)
        return provider, sent

    def leave(self, ticket: Ticket, granted: Granted) -> None:
        """Give a slot back."""
        provider, grant = granted
        self._queue.ended(ticket)
        self.running -= 1
        provider.left()
        provider.limit.ended(grant)
        self.grant()

    def grant(self) -> None:
        """Grant slots to the next calls as far as the limits allow; to be called whenever limit or queue change."""
        if self.closed:
            return
        if (only := self.pool.only) is None:
            self._grant_among_several()
            return
        now, limit, most = self._clock(), only.limit, self.pool.most
        slots = self._slots_of_only
        while self._queue and self.running < most:
            send_at = limit.send_at(only.running + self.lent)
            if send_at > now:
                if send_at < self._due:
                    self._wake_at(send_at, now)
                return
            waiter = self._queue.pop(slots)
            if waiter is None:
                return
            self._send(waiter, only, now)

    def _grant_among_several(self) -> None:
        """Grant the next call that a provider with room may have, again and again, each at the best such provider."""
        now, pool, queue = self._clock(), self.pool, self._queue
        while queue and self.running < pool.most:
            free, due = pool.free(now, queue.reaches)
            if due < self._due:
                self._wake_at(due, now)
            if not free:
                return
            chosen: Provider | None = None

            def slots(reach: Reach) -> int:
                return pool.limit_of(reach).slots if pool.may_use(reach, free) else 0  # noqa: B023 - used below only

            def fits(waiter: _Waiter) -> bool:
                nonlocal chosen
                chosen = (waiter.passed or _NOTHING_PASSED).choice(free, waiter.ticket.reach)  # noqa: B023 - used below only
                return chosen is not None

            waiter = queue.pop(slots, fits)
            if waiter is None or chosen is None:
                return
            self._send(waiter, chosen, now)

    def _slots_of_only(self, _reach: Reach) -> int:
        return self.pool.limit.slots

    def _send(self, waiter: _Waiter, provider: Provider, now: float) -> None:
        """Give a call its slot, unless the call's deadline has passed, or it must not go to this provider."""
        if waiter.deadline.at <= now or not provider.serves(waiter.ticket.reach):
            self._queue.ended(waiter.ticket)
            waiter.set_result(DeadlineExceeded() if waiter.deadline.at <= now else NoProvider())
            return
        waiter.set_result(self._granted(provider))

    def _granted(self, provider: Provider) -> Granted:
        granted = provider, provider.limit.grant(provider.running)
        provider.running += 1
        self.running += 1
        return granted

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

    def refuse_waiting(self, error: UpstreamFailure, reaches: Collection[Reach] | None = None) -> None:
        """End every wait of a call of these reaches with `error`, since none of them can be served; None: of all."""
        for waiter in [waiter for waiter in self._since if reaches is None or waiter.ticket.reach in reaches]:
            if self._queue.remove(waiter.ticket, waiter.key):
                waiter.set_result(error.again())

    def refuse_due(self, point: float, error: UpstreamFailure, reaches: Collection[Reach] | None = None) -> None:
        """End with `error` the waits whose deadline lies before `point`, the earliest point of a grant."""
        for waiter in [waiter for waiter in self._since if waiter.deadline.at < point]:
            ticket = waiter.ticket
            concerned = reaches is None or ticket.reach in reaches
            if not ticket.patient and concerned and self._queue.remove(ticket, waiter.key):
                waiter.set_result(error.again())

    def refuse_unserved(self) -> None:
        """End the waits of calls that no provider may have any more."""
        if unserved := [reach for reach in self.reaches if not self.pool.serving(reach)]:
            self.refuse_waiting(NoProvider(), unserved)

    def retry_stranded(self) -> None:
        """Let waiting calls try again where they failed if every other provider of theirs is down."""
        for waiter in self._failed:
            serving, passed = self.pool.serving(waiter.ticket.reach), waiter.passed
            if passed is not None and all(provider.down or provider in passed.failed for provider in serving):
                passed.failed.clear()

    def shed(
        self,
        interval: float,
        duration: float,
        retry_after: Callable[[float], float],
        reaches: Collection[Reach] | None = None,
    ) -> None:
        """End the waits that would last beyond their deadline, where a call is granted every `interval` seconds.

        A granted call takes `duration` seconds. `retry_after` maps the seconds by which an answer would be late to the
        seconds of its `Retry-After`. Calls of other reaches than `reaches` count for nothing.
        """
        now, due = self._clock(), 0.0
        for waiter in self._queue.order(reaches):
            due += interval
            late = now + due + duration - waiter.deadline.at
            if late > 0 and not waiter.ticket.patient and self._queue.remove(waiter.ticket, waiter.key):
                due -= interval
                waiter.set_result(Overloaded(retry_after=retry_after(late), cause="late"))
