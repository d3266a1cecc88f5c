"""Many requests into the queue of jobs, list by list, waiting for room where that is wanted.

Each list is enqueued whole or not at all (CONTRACT, "Jobs"); where a whole one finds no room, a half of it may.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Final

from sidecar.core.contract import Request
from sidecar.core.errors import JobsUnavailable, Overloaded, SidecarError
from sidecar.core.jobs import MOST_AT_ONCE, Job
from sidecar.core.progress import ProgressPort
from sidecar.jobs.store import JobStore
from sidecar.runtime.line_source import Line

_LIST_BYTES: Final = 8 * 1024**2
"""Of the lines of one list: what is held at a time, but for one line that is longer."""
_PAUSES: Final = (0.5, 1.0, 2.0, 5.0)
"""Seconds between two tries, the last again and again."""


class Enqueuing:
    """One run. `patience`: seconds without any progress after which a full queue or an absent Redis ends it."""

    def __init__(self, store: JobStore, telling: ProgressPort, *, patience: float, stop: asyncio.Event) -> None:
        self.enqueued = 0
        self._store = store
        self._telling = telling
        self._patience = patience
        self._stop = stop
        self._most = MOST_AT_ONCE
        self._waiting_since: float | None = None
        self._tries = 0
        self._said: set[type[SidecarError]] = set()

    async def take(self, lines: Iterable[Line], done: Callable[[Sequence[Job]], Awaitable[None]]) -> None:
        """Enqueue the requests of `lines` in their order until `stop` is set; `done` hears of each list's jobs.

        Raises `Overloaded` or `JobsUnavailable` where patience ends, and what is wrong with a line.
        """
        for requests in _lists(lines):
            place = 0
            while place < len(requests):
                if self._stop.is_set():
                    return
                asked = requests[place : place + self._most]
                if (jobs := await self._enqueued(asked)) is None:
                    continue
                place += len(jobs)
                self.enqueued += len(jobs)
                await done(jobs)
                self._telling.step(len(jobs))

    async def _enqueued(self, requests: Sequence[Request]) -> list[Job] | None:
        """Their jobs; None where it is to be tried again."""
        try:
            jobs = await self._store.enqueue(requests)
        except Overloaded as exc:
            if len(requests) > 1:
                self._most = len(requests) // 2
            else:
                await self._pause(exc)
            return None
        except JobsUnavailable as exc:
            # It may have heard us. A job with an id of chance would then be there twice, and paid twice.
            if any(request.action == "chat" and not request.user_id for request in requests):
                raise
            await self._pause(exc)
            return None
        self._most = min(MOST_AT_ONCE, self._most * 2)
        self._waiting_since, self._tries = None, 0
        return jobs

    async def _pause(self, error: Overloaded | JobsUnavailable) -> None:
        now = time.monotonic()
        if self._waiting_since is None:
            self._waiting_since = now
            # Once: room comes job by job, and a line for each would be many.
            if self._patience and type(error) not in self._said:
                self._said.add(type(error))
                self._telling.say(f"{error} Waiting up to {self._patience:g} seconds at a time.")
        left = self._waiting_since + self._patience - now
        if left <= 0:
            raise error
        pause = min(left, _PAUSES[min(self._tries, len(_PAUSES) - 1)])
        self._tries += 1
        try:
            await asyncio.wait_for(self._stop.wait(), pause)
        except TimeoutError:
            return


def _lists(lines: Iterable[Line]) -> Iterator[list[Request]]:
    requests: list[Request] = []
    size = 0
    for line in lines:
        if requests and (len(requests) >= MOST_AT_ONCE or size + len(line.text) > _LIST_BYTES):
            yield requests
            requests, size = [], 0
        requests.append(line.request())
        size += len(line.text)
    if requests:
        yield requests
