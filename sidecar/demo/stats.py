"""Counters of the demo provider, and waiting for a count to be reached. No I/O."""

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec

_USERS_COUNTED: Final = 10_000


class Stats(msgspec.Struct, kw_only=True):
    """Counters since the last reset.

    Every call ends under exactly one name of `by_outcome`, so that `received` is their sum, `in_flight`, `waiting`
    and the calls whose bodies are still being read.
    """

    received: int = 0
    answered: int = 0
    """Whole answers, streams included."""
    refused: int = 0
    """Calls refused before any work: key, limits, quota, bad requests."""
    failed: int = 0
    """Failures that were ordered."""
    cancelled: int = 0
    """Calls whose caller left before the end, stalled ones included."""
    in_flight: int = 0
    """Calls that hold a slot now."""
    peak_in_flight: int = 0
    waiting: int = 0
    """Calls in the queue for a slot now (option `queue`)."""
    stalled: int = 0
    """Calls that were left without an answer, whether or not their caller has gone."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    by_outcome: dict[str, int] = {}
    by_status: dict[int, int] = {}
    by_user: dict[str, int] = {}
    """Calls by the body's `user`; the first 10,000 names."""

    def count_user(self, user: str) -> None:
        if user in self.by_user or len(self.by_user) < _USERS_COUNTED:
            self.by_user[user] = self.by_user.get(user, 0) + 1

    def count_outcome(self, outcome: str) -> None:
        self.by_outcome[outcome] = self.by_outcome.get(outcome, 0) + 1

    def count_status(self, status: int) -> None:
        self.by_status[status] = self.by_status.get(status, 0) + 1

    def clear(self) -> None:
        """Reset the counters in place; calls in flight and waiting stay counted as such."""
        fresh = Stats(in_flight=self.in_flight, peak_in_flight=self.in_flight, waiting=self.waiting)
        for name in self.__struct_fields__:
            setattr(self, name, getattr(fresh, name))


class Watch:
    """Wakes tasks that wait for a condition on the stats; costs nothing while there is none."""

    def __init__(self, stats: Stats) -> None:
        self._stats = stats
        self._waits: list[tuple[Callable[[Stats], bool], asyncio.Future[None]]] = []

    def notify(self) -> None:
        """Wake the tasks whose condition holds; the owner of the stats calls this after each change."""
        if self._waits:
            self._waits = [wait for wait in self._waits if not self._met(*wait)]

    def _met(self, wanted: Callable[[Stats], bool], waiter: asyncio.Future[None]) -> bool:
        if not waiter.done() and wanted(self._stats):
            waiter.set_result(None)
        return waiter.done()

    async def until(self, wanted: Callable[[Stats], bool], *, within: float) -> Stats:
        """Return once `wanted(stats)` holds.

        Raises:
            TimeoutError: `within` seconds have passed; the message shows the stats.

        """
        if wanted(self._stats):
            return self._stats
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waits.append((wanted, waiter))
        try:
            async with asyncio.timeout(within):
                await waiter
        except TimeoutError as exc:
            raise TimeoutError(f"not within {within} s: {self._stats}") from exc
        finally:
            waiter.cancel()
        return self._stats
