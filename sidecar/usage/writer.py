"""Writer: brings what the recorder counted into the usage file every few seconds, in a thread of its own."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from sidecar.core import events
from sidecar.runtime.daemon_thread import in_daemon_thread
from sidecar.runtime.sqlite_errors import said
from sidecar.usage.counts import HOUR
from sidecar.usage.database import ERRORS, add
from sidecar.usage.recorder import Recorder

WRITE_SECONDS: Final = 3.0
"""Seconds between two writes: a process that is killed loses no more."""
LAST_SECONDS: Final = 3.0
"""Seconds of the last write, at the end of the process."""


class Writer:
    """Writes to the file at `path`, which keeps `days` days."""

    def __init__(
        self, path: str, recorder: Recorder, *, days: int, add: Callable[..., None] = add, every: float = WRITE_SECONDS
    ) -> None:
        self._path = path
        self._recorder = recorder
        self._days = days
        self._add = add
        self._every = every
        self._failing = False
        self._expired_in = 0
        """Hour of the last deletion."""

    async def run(self, stop: asyncio.Event) -> None:
        """Write every few seconds, and once more after `stop`."""
        last = False
        while not last:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._every):
                    await stop.wait()
            last = stop.is_set()
            try:
                await self.write()
            except Exception as exc:  # noqa: BLE001 - the task's outermost: the next write may succeed
                events.fault("internal", exc)

    async def write(self) -> None:
        """Write what was counted; after a failure, logged once, it is counted again."""
        hour = int(time.time()) // HOUR
        batch = self._recorder.take()
        if not batch and hour == self._expired_in:
            return
        since = (hour - 24 * self._days) * HOUR
        try:
            await in_daemon_thread(lambda: self._add(self._path, batch, since=since), "usage", ERRORS)
        except (*ERRORS, RuntimeError) as exc:
            self._recorder.give_back(batch)
            if not self._failing:
                note = "requests are counted in memory"
                events.warning("usage_failed", file=self._path, reason=said(exc), note=note)
            self._failing = True
            return
        self._expired_in = hour
        dropped = self._recorder.written()
        if self._failing or dropped:
            self._failing = False
            events.info("usage_back", dropped=dropped)


@asynccontextmanager
async def recording(path: str, recorder: Recorder, *, days: int) -> AsyncIterator[Recorder]:
    """Write what `recorder` counts during the block; the end waits `LAST_SECONDS` at most."""
    stop = asyncio.Event()
    task = asyncio.create_task(Writer(path, recorder, days=days).run(stop), name="usage")
    try:
        yield recorder
    finally:
        stop.set()
        await asyncio.wait((task,), timeout=LAST_SECONDS)
        hanging = not task.done()
        task.cancel()
        await asyncio.wait((task,))
        if hanging or recorder.take():
            events.warning("usage_lost", note="the last requests could not be written before the end")
