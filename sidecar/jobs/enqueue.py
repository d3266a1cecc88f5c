"""Enqueueing of many requests, list by list, with patience for a full queue.

Each list is enqueued whole or not at all (CONTRACT, "Jobs"); where the queue has no room for a list, half a list is
tried.
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
"""Bytes of one list's lines; a single longer line is a list of its own."""
_PAUSES: Final = (0.5, 1.0, 2.0, 5.0)
"""Seconds between two tries, the last again and again."""


class Enqueuing:
    """One enqueueing. `patience`: seconds without progress after which a full queue or an absent Redis ends the run."""

    def __init__(self, store: JobStore, progress: ProgressPort, *, patience: float, stop: asyncio.Event) -> None:
        self.enqueued = 0
        self._store = store
        self._progress = progress
        self._patience = patience
        self._stop = stop
        self._most = MOST_AT_ONCE
        self._waiting_since: float | None = None
        self._tries = 0
        self._said: set[type[SidecarError]] = set()

    async def take(self, lines: Iterable[Line], done: Callable[[Sequence[Job]], Awaitable[None]]) -> None:
        """Enqueue the requests of `lines` in their order until `stop` is set; call `done` with each list's jobs.

        The method raises `Overloaded` or `JobsUnavailable` where patience ends, and the error of a wrong line.
        """
        for requests in _lists(lines):
            place = 0
            while place < len(requests):
                if self._stop.is_set():
                    return
                chunk = requests[place : place + self._most]
                if (jobs := await self._enqueued(chunk)) is None:
                    continue
                place += len(jobs)
                self.enqueued += len(jobs)
                await done(jobs)
                self._progress.step(len(jobs))

    async def _enqueued(self, requests: Sequence[Request]) -> list[Job] | None:
        """Return the jobs of `requests`; None where the caller is to try again."""
        try:
            jobs = await self._store.enqueue(requests)
        except Overloaded as exc:
            if len(requests) > 1:
                self._most = len(requests) // 2
            else:
                await self._pause(exc)
            return None
        except JobsUnavailable as exc:
            # Redis may have enqueued the list. A job with a random id would then exist and be paid for twice.
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
            # Once a run: room comes job by job, and a line for each would be many.
            if self._patience and type(error) not in self._said:
                self._said.add(type(error))
                self._progress.say(f"{error} Waiting up to {self._patience:g} seconds at a time.")
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
