"""Counters that several sidecars share. A store that is away or slow refuses nobody: requests then go uncounted.

Requests of the same moment go to the store together, one exchange after another, so that a burst costs few round
trips. After a failure no request waits for `SHY_SECONDS`.
"""

import asyncio
import math
import os
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, TypeVar

from sidecar.core import events
from sidecar.core.quotas import Away, Refusal, Scope
from sidecar.core.tasks import silence
from sidecar.engine.quotas.ports import Count, Store

LIMIT_SECONDS: Final = 0.05
"""Seconds that the store may take for one exchange; a request waits for its own and the one before."""
_USER_SECONDS: Final = 0.001
"""Seconds more for each user of a list of jobs."""
_TOGETHER: Final = 100
"""Most requests of one exchange."""
_BUSY_TURNS: Final = 40
"""Most extensions of an exchange's time because this process, and not the store, was busy."""
SHY_SECONDS: Final = 1.0
SETTLE_SECONDS: Final = 1.0
"""Seconds that the store may take for what no request waits for."""
LOG_SECONDS: Final = 60.0
"""Seconds between two lines about a store that is away."""
RENEW_SECONDS: Final = 20.0
LEASE_SECONDS: Final = 60.0
"""Life of a request under way in the store, without a renewal: so long a killed sidecar's places stay taken."""
_SILENT: Final = "Redis does not answer in time."
Result = TypeVar("Result")
Waiting = tuple[Count, "asyncio.Future[Refusal | None]"]


class Shared:
    """The store, as requests use it; `limit`: the seconds of one exchange."""

    def __init__(
        self, store: Store, *, limit: float = LIMIT_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.store = store
        self._limit = limit
        self._clock = clock
        self._shy_until = -math.inf
        self._logged_at = -math.inf
        self._away = False
        """True from a line that says so in the log to the next one that takes it back."""
        self._waiting: list[Waiting] = []
        self._running: dict[str, tuple[float, Sequence[str]]] = {}
        """Requests under way, with the point on the clock of the last renewal."""
        self._ended: dict[str, tuple[float, Sequence[str]]] = {}
        """Requests that ended, and that the store has not heard of."""
        self._freed: asyncio.Future[None] | None = None
        """Done after the exchange that takes `_ended`."""
        self._exchanging: asyncio.Task[None] | None = None

    async def take(self, scopes: Sequence[Scope], day: str, *, hold: bool) -> tuple[Refusal | None, str]:
        """Count a request; return the refusal, or else the id for `release`, blank where nothing is held."""
        if self._clock() < self._shy_until:
            return None, ""
        ident = os.urandom(8).hex()
        names = [scope.name for scope in scopes if hold and scope.quota.at_once]
        future: asyncio.Future[Refusal | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((Count(scopes, day, ident, hold), future))
        self._wake()
        try:
            refusal = await future
        except Away:
            self._end(ident, names)  # the store may have counted all the same
            return None, ""
        except asyncio.CancelledError:
            self._end(ident, names)
            raise
        if refusal is not None or not names:
            return refusal, ""
        self._running[ident] = self._clock(), names
        return None, ident

    async def release(self, ident: str) -> None:
        """Free the places of a request; wait for the store no longer than a request may."""
        _, names = self._running.pop(ident)
        self._end(ident, names)
        if self._clock() >= self._shy_until:
            await asyncio.wait((self._heard(),), timeout=2 * self._limit)

    def _end(self, ident: str, names: Sequence[str]) -> None:
        if names:
            self._ended[ident] = self._clock(), names

    def _heard(self) -> "asyncio.Future[None]":
        """Return what is done once the store has heard of the requests that ended."""
        if self._freed is None:
            self._freed = asyncio.get_running_loop().create_future()
        self._wake()
        return self._freed

    def _wake(self) -> None:
        if self._exchanging is None or self._exchanging.done():
            self._exchanging = asyncio.create_task(self._exchange_all(), name="quotas exchange")

    async def _exchange_all(self) -> None:
        """Exchange until nothing waits; after a failure let all go that wait."""
        while self._waiting or self._freed is not None:
            batch, self._waiting = self._waiting[:_TOGETHER], self._waiting[_TOGETHER:]
            freed, self._freed = self._freed, None
            try:
                await self._exchange([one for one in batch if not one[1].done()])
            except Away as exc:
                self.lost(exc)
                _let_go([*batch, *self._waiting], exc)
                self._waiting.clear()
            except BaseException:
                _let_go([*batch, *self._waiting], Away(_SILENT))
                self._waiting.clear()
                raise
            finally:
                if freed is not None and not freed.done():
                    freed.set_result(None)

    async def _exchange(self, batch: list[Waiting]) -> None:
        # What is older has ended in the store by itself.
        oldest = self._clock() - LEASE_SECONDS
        ended = {ident: one for ident, one in self._ended.items() if one[0] > oldest}
        self._ended = {}
        counts = [count for count, _ in batch]
        extra = sum(max(0, len(count.scopes) - 3) for count in counts)
        names = {ident: names for ident, (_, names) in ended.items()}
        try:
            found = await self._bounded(self.store.exchange(names, counts), self._limit + _USER_SECONDS * extra)
        except BaseException:
            self._ended = ended | self._ended
            raise
        self._back()
        for (_, future), refusal in zip(batch, found, strict=True):
            if not future.done():
                future.set_result(refusal)

    async def _bounded(self, work: Coroutine[Any, Any, Result], seconds: float) -> Result:
        """Return the result of `work`; raise `Away` where the store takes longer than `seconds`.

        Where this process itself was too busy to look for that long, the answer may have been there: it looks again.
        """
        task = asyncio.create_task(work, name="quotas store")
        silence(task)
        try:
            for _ in range(_BUSY_TURNS):
                until = self._clock() + seconds
                await asyncio.wait((task,), timeout=seconds)
                if task.done():
                    return task.result()
                if self._clock() - until < seconds / 4:
                    break
            raise Away(_SILENT)
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait((task,), timeout=SETTLE_SECONDS)

    async def settle(self) -> None:
        """Renew requests under way, and free what is left to free. Raises `Away`."""
        if self._clock() < self._shy_until:
            return
        if self._ended:
            await asyncio.wait((self._heard(),), timeout=SETTLE_SECONDS)
        due = self._clock() - RENEW_SECONDS
        running = {ident: names for ident, (at, names) in self._running.items() if at <= due}
        if running:
            await self._bounded(self.store.renew(running), SETTLE_SECONDS)
            now = self._clock()
            self._running |= {ident: (now, names) for ident, names in running.items() if ident in self._running}

    async def load(self, day: str) -> Mapping[str, int]:
        """Open a connection, so that no request waits for that; return what `Store.load` does."""
        with suppress(Away):
            return await self._bounded(self.store.load(day), SETTLE_SECONDS)
        return {}

    async def add(self, day: str, spent: Mapping[str, int]) -> Mapping[str, int]:
        """Add tokens of the day; return the totals. Raises `Away`."""
        return await self._bounded(self.store.add(day, spent), SETTLE_SECONDS)

    async def aclose(self) -> None:
        """Close the store; no request is under way any more."""
        if self._exchanging is not None:
            self._exchanging.cancel()
            await asyncio.wait((self._exchanging,))
        await self.store.aclose()

    def lost(self, exc: Away) -> None:
        """Record a failure of the store: no request waits for the next second, and a line a minute says so."""
        now = self._clock()
        self._shy_until = now + SHY_SECONDS
        if now - self._logged_at >= LOG_SECONDS:
            self._logged_at, self._away = now, True
            events.warning("limits_open", reason=str(exc), note="requests are not counted meanwhile")

    def _back(self) -> None:
        if self._away:
            self._away = False
            events.info("limits_back")


def _let_go(waiting: Sequence[Waiting], exc: Away) -> None:
    for _, future in waiting:
        if not future.done():
            future.set_exception(Away(str(exc)))
