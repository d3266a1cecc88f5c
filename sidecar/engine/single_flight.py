"""Layer 3, single flight: equal work wanted by several callers runs once, and its answer goes to the cache.

A flight owns its task. Each waiter waits under a deadline of its own; the flight has the latest of them. The last
waiter to leave removes the flight first and cancels it then, so that a newcomer starts a new one.

Written out because waiters have deadlines of their own and come and go: in cashews one cancelled waiter cancels all
(findings/cashews-one-cancel-hits-all.sh).
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Generic

from sidecar.core.errors import ShuttingDown, UpstreamFailure
from sidecar.core.tasks import silence
from sidecar.core.tracing import Span
from sidecar.engine.answer_cache import AnswerCache, Key, Result
from sidecar.engine.deadline import Latest, Point

Work = Callable[[Point], Awaitable[Result]]
"""Makes an answer by a deadline, which is its latest waiter's."""


class _Flight(Generic[Result]):
    __slots__ = ("deadline", "span", "task", "waiters")

    def __init__(self, task: asyncio.Task[Result], deadline: Latest, span: Span | None) -> None:
        self.task = task
        self.deadline = deadline
        self.span = span
        """Span of the request that began the work."""
        self.waiters = 0


class SingleFlight:
    """Work under way, by key; a key's type is that of its answer."""

    def __init__(self, cache: AnswerCache) -> None:
        self.cache = cache
        self.hits = 0
        """Answers found in the cache."""
        self.joined = 0
        """Waiters that joined work under way."""
        # Any, since each flight has the type of its own key; `share` is where that is held.
        self._flights: dict[bytes, _Flight[Any]] = {}
        self._ending: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        return len(self._flights)

    def __contains__(self, key: bytes) -> bool:
        """Return whether work under `key` is under way."""
        return key in self._flights

    def find(self, key: Key[Result], reader: str = "") -> Result | None:
        """Return the cached answer under `key`, which `reader` has from now on; None where `reader` had it already.

        A second request of one user for one answer wants another answer: Moodle's button "Regenerate".
        """
        if (answer := self.cache.get(key, reader)) is not None:
            self.hits += 1
            self.cache.read(key, reader)
        return answer

    async def share(
        self, key: Key[Result], work: Work[Result], *, deadline: Point, reader: str = "", span: Span | None = None
    ) -> Result:
        """Join the work under way under `key`, or run `work`; a new answer replaces the cached one.

        A failure is raised to every waiter and never cached. `reader` has the answer from then on. `span` is linked
        to that of the request whose work it joins.
        """
        flight: _Flight[Result] | None = self._flights.get(key)
        if flight is None:
            flight = self._start(key, work, span)
        else:
            self.joined += 1
            if span is not None and flight.span is not None:
                span.joined(flight.span)
        answer = await self._wait(key, flight, deadline)
        self.cache.read(key, reader)
        return answer

    def _start(self, key: Key[Result], work: Work[Result], span: Span | None) -> _Flight[Result]:
        deadline = Latest()
        task = asyncio.create_task(self._fly(key, work, deadline), name="flight")
        silence(task)
        flight = self._flights[key] = _Flight(task, deadline, span)
        return flight

    async def _fly(self, key: Key[Result], work: Work[Result], deadline: Latest) -> Result:
        try:
            answer = await work(deadline)
            self.cache.put(key, answer)
            return answer
        finally:
            # Unless the last waiter removed it already, and another flight of that key is under way now.
            if (flight := self._flights.get(key)) is not None and flight.task is asyncio.current_task():
                del self._flights[key]

    async def _wait(self, key: bytes, flight: _Flight[Result], deadline: Point) -> Result:
        flight.waiters += 1
        flight.deadline.join(deadline)
        try:
            await asyncio.wait((flight.task,))
        finally:
            flight.waiters -= 1
            if flight.waiters:
                flight.deadline.leave(deadline)
            elif not flight.task.done():
                del self._flights[key]
                self._ending.add(flight.task)
                flight.task.add_done_callback(self._ending.discard)
                flight.task.cancel()
        if flight.task.cancelled():
            raise ShuttingDown
        if isinstance(failure := flight.task.exception(), UpstreamFailure):
            raise failure.again()
        return flight.task.result()
