"""Counters that several sidecars share. A store that is away or slow refuses nobody: requests then go uncounted.

Each request gives the store `LIMIT_SECONDS`; after a failure no request waits for `SHY_SECONDS`.
"""

import asyncio
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from sidecar.core import events
from sidecar.core.quotas import Away, Refusal, Scope
from sidecar.engine.quotas.ports import Store

LIMIT_SECONDS: Final = 0.05
"""Seconds that a request waits for the store, at most."""
_USER_SECONDS: Final = 0.001
"""Seconds more for each user of a list of jobs."""
SHY_SECONDS: Final = 1.0
SETTLE_SECONDS: Final = 1.0
"""Seconds that the store may take for what no request waits for."""
LOG_SECONDS: Final = 60.0
"""Seconds between two lines about a store that is away."""
RENEW_SECONDS: Final = 20.0
LEASE_SECONDS: Final = 60.0
"""Life of a request under way in the store, without a renewal: so long a killed sidecar's places stay taken."""
_SILENT: Final = "Redis does not answer in time."


class Shared:
    """The store, as requests use it; `limit`: the seconds that one of them may wait for the store."""

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
        self._running: dict[str, tuple[float, Sequence[str]]] = {}
        """Requests under way, with the point on the clock of the last renewal."""
        self._ended: dict[str, tuple[float, Sequence[str]]] = {}
        """Requests that ended while the store was away."""
        self._tasks: set[asyncio.Task[None]] = set()

    async def take(self, scopes: Sequence[Scope], day: str, *, hold: bool) -> tuple[Refusal | None, str]:
        """Count a request; return the refusal, or else the id for `release`, blank where nothing is held."""
        if self._clock() < self._shy_until:
            return None, ""
        ident = os.urandom(8).hex()
        names = [scope.name for scope in scopes if hold and scope.quota.at_once]
        try:
            async with asyncio.timeout(self._limit + _USER_SECONDS * max(0, len(scopes) - 3)):
                refusal = await self.store.take(scopes, day, ident, hold=hold)
        except (Away, TimeoutError) as exc:
            self._lost(exc)
            self._end(ident, names)  # the store may have counted all the same
            return None, ""
        except asyncio.CancelledError:
            self._end(ident, names)
            raise
        self._back()
        if refusal is not None or not names:
            return refusal, ""
        self._running[ident] = self._clock(), names
        return None, ident

    async def release(self, ident: str) -> None:
        """Free the places of a request; wait for the store no longer than a request may."""
        _, names = self._running.pop(ident)
        self._end(ident, names)
        if self._clock() < self._shy_until:
            return
        task = asyncio.create_task(self._free(), name="quotas release")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await asyncio.wait((task,), timeout=self._limit)

    def _end(self, ident: str, names: Sequence[str]) -> None:
        if names:
            self._ended[ident] = self._clock(), names

    async def _free(self) -> None:
        try:
            await self._settle_ended()
        except (Away, TimeoutError) as exc:
            self._lost(exc)

    async def settle(self) -> None:
        """Renew requests under way, and free what is left to free. Raises `Away`."""
        if self._clock() < self._shy_until:
            return
        try:
            await self._settle_ended()
            due = self._clock() - RENEW_SECONDS
            running = {ident: names for ident, (at, names) in self._running.items() if at <= due}
            if running:
                async with asyncio.timeout(SETTLE_SECONDS):
                    await self.store.renew(running)
                now = self._clock()
                self._running |= {ident: (now, names) for ident, names in running.items() if ident in self._running}
        except TimeoutError as exc:
            raise Away(_SILENT) from exc

    async def _settle_ended(self) -> None:
        # What is older has ended in the store by itself.
        oldest = self._clock() - LEASE_SECONDS
        ended = {ident: names for ident, (at, names) in self._ended.items() if at > oldest}
        self._ended.clear()
        if not ended:
            return
        now = self._clock()
        try:
            async with asyncio.timeout(SETTLE_SECONDS):
                await self.store.end(ended)
        except (Away, TimeoutError):
            self._ended |= {ident: (now, names) for ident, names in ended.items()}
            raise

    async def load(self, day: str) -> Mapping[str, int]:
        """Return what `Store.load` does."""
        return await self.store.load(day)

    async def add(self, day: str, spent: Mapping[str, int]) -> Mapping[str, int]:
        """Add tokens of the day; return the totals. Raises `Away`."""
        try:
            async with asyncio.timeout(SETTLE_SECONDS):
                return await self.store.add(day, spent)
        except TimeoutError as exc:
            raise Away(_SILENT) from exc

    async def aclose(self) -> None:
        """Free what is held, and close."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.store.aclose()

    def lost(self, exc: Away) -> None:
        """Record a failure that no request met."""
        self._lost(exc)

    def _lost(self, exc: Away | TimeoutError) -> None:
        now = self._clock()
        self._shy_until = now + SHY_SECONDS
        if now - self._logged_at >= LOG_SECONDS:
            self._logged_at, self._away = now, True
            reason = str(exc) if isinstance(exc, Away) else _SILENT
            events.warning("limits_open", reason=reason, note="requests are not counted meanwhile")

    def _back(self) -> None:
        if self._away:
            self._away = False
            events.info("limits_back")
