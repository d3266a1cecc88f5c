"""Lines of a file through the engine, so many at once as the provider takes; each reply goes into the journal.

Lines are read only as there is room for them. What is in the journal is not asked again, and the same request twice
is asked once. Where files are and how replies come out of the journal is said elsewhere.
"""

import asyncio
import math
import random
import time
from typing import Final, NamedTuple

from sidecar.batch.index import ID_BYTES
from sidecar.batch.journal import Journal, JournalError, Record
from sidecar.batch.ordered_output import Stream
from sidecar.config.settings import Settings
from sidecar.core import events
from sidecar.core.contract import Request, answered, sendable
from sidecar.core.errors import (
    DeadlineExceeded,
    InternalError,
    RateLimited,
    ShuttingDown,
    SidecarError,
    UpstreamAuth,
    UpstreamError,
    UpstreamFailure,
    UpstreamUnreachable,
)
from sidecar.core.progress import ProgressPort
from sidecar.engine.admission import Place
from sidecar.engine.keys import Keys
from sidecar.engine.limiter.calls import Trace
from sidecar.engine.service import Service
from sidecar.runtime.line_source import Line, Source

MOST_TRIES: Final = 3
"""Of one line, beside the retries of each provider call: those that reached the provider."""
_BACKOFF: Final = 2.0
"""Seconds before the second try, twice as many before the third, less up to a half by chance."""
_LOOK_SECONDS: Final = 0.25
"""Between two looks at whether the provider is down."""
_SYNC_SECONDS: Final = 1.0
"""What a power cut costs: replies of the last so many seconds."""
_LAST_SECONDS: Final = 1.0
"""After the grace: what it ended is put away."""
_NO_ROOM_SECONDS: Final = 20.0
"""After which a provider that refuses whatever it is sent is said to."""

_NO_ROOM: Final = "The AI provider refuses every call for now."
TOLD: Final = "It was told to stop."


class Halted(Exception):
    """The batch cannot go on now: the sentence says why."""


def id_of(keys: Keys, request: Request) -> bytes:
    """A hash of all that determines the answer; unlike a job's, a chat of nobody has one too: it is the file's."""
    return keys.of_job(request)[:ID_BYTES]


class _Taken(NamedTuple):
    """A line at work."""

    name: bytes
    request: Request
    place: Place


class _Parts:
    """Finished parts of long texts, kept in the journal too."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def find(self, key: bytes) -> str | None:
        record = self._journal.find(key[:ID_BYTES])
        return None if record is None else record.data

    async def keep(self, key: bytes | None, text: str, *, done: int, total: int) -> None:  # noqa: ARG002
        if key is not None and key[:ID_BYTES] not in self._journal:
            self._journal.put(Record(id=key[:ID_BYTES].hex(), data=sendable(text)))


class Runner:
    """One run. `patience`: seconds for which a provider that is down is waited for; None: as long as it takes."""

    def __init__(
        self,
        service: Service,
        journal: Journal,
        source: Source,
        telling: ProgressPort,
        *,
        settings: Settings,
        patience: float | None,
        stream: Stream | None = None,
    ) -> None:
        self.answered = 0
        """Requests that got an answer in this run."""
        self._service = service
        self._journal = journal
        self._lines = source.lines()
        self._telling = telling
        self._settings = settings
        self._patience = patience
        self._stream = stream
        self._parts = _Parts(journal)
        self._turn = asyncio.Lock()
        self._busy: set[bytes] = set()
        self._complete = False
        self._left_over = False
        """Whether a line was taken that got no reply."""
        self._stopping = False

    async def run(self, stop: asyncio.Event) -> None:
        """Until every line has its reply. Once `stop` is set, what was taken has `SHUTDOWN_GRACE`, and it is `Halted`.

        Raises `Halted`, `JournalError`, or `OSError` where the lines cannot be read.
        """
        failure: BaseException | None = None
        try:
            async with asyncio.TaskGroup() as aides:
                running = [
                    aides.create_task(self._watch(), name="batch-provider"),
                    aides.create_task(self._sync(), name="batch-sync"),
                    aides.create_task(self._halt(stop), name="batch-stop"),
                ]
                if self._stream is not None:
                    running.append(aides.create_task(self._stream.flow(), name="batch-output"))
                async with asyncio.TaskGroup() as workers:
                    for number in range(self._settings.concurrency):
                        workers.create_task(self._work(), name=f"batch-{number}")
                if self._stream is not None:
                    await self._stream.end()
                for task in running:
                    task.cancel()
        except BaseExceptionGroup as group:
            failure = _first(group)
        if failure is not None:
            raise failure
        self._journal.sync()
        if not self._complete or self._left_over:
            raise Halted(TOLD)

    async def _work(self) -> None:
        while (taken := await self._take()) is not None:
            with taken.place:
                record = await self._record(taken)
            if record is None:
                self._left_over = True
                return
            self._journal.put(record)
            self._busy.discard(taken.name)
            self.answered += record.success is True
            if self._stream is not None:
                self._stream.heard()
            self._telling.step()

    async def _take(self) -> _Taken | None:
        """The next line that is to be asked; None at the end."""
        async with self._turn:
            for count, line in enumerate(self._lines, 1):
                if not count % 64:
                    await asyncio.sleep(0)
                if self._stopping:
                    self._left_over = True
                    return None
                try:
                    request = line.request()
                except SidecarError as exc:
                    await self._in_order(line, exc)
                    self._telling.step()
                    continue
                name = id_of(self._service.kernel.keys, request)
                await self._in_order(line, name)
                if name in self._journal or name in self._busy:
                    self._telling.step()
                    continue
                self._busy.add(name)
                return _Taken(name, request, await self._service.admission.wait(len(line.text)))
            self._complete = not self._left_over
            return None

    async def _in_order(self, line: Line, outcome: bytes | SidecarError) -> None:
        if self._stream is not None:
            await self._stream.expect(line.number, outcome)

    async def _record(self, taken: _Taken) -> Record | None:
        """The reply; None where the time to stop came before it."""
        name, tries = taken.name.hex(), 0
        while True:
            trace = Trace()
            deadline = time.monotonic() + self._settings.job_timeout
            try:
                text = await self._service.background.text(
                    taken.request, self._parts, trace, deadline=deadline, background=False
                )
            except ShuttingDown:
                return None
            except SidecarError as exc:
                error = exc
            except JournalError:
                raise
            except Exception as exc:  # noqa: BLE001 - the line's outermost: a fault of ours is a reply too
                events.fault("internal", exc)
                error = InternalError()
            else:
                reply = answered(text, html_safe=self._settings.html_safe)
                return Record(id=name, success=True, data=reply.data)
            if trace.tried and not (isinstance(error, UpstreamUnreachable) and self._refusal is not None):
                tries += 1
            if (pause := self._again(error, trace, tries)) is None:
                return Record(id=name, success=False, error=str(error), code=error.code)
            await self._service.kernel.calls.sleep(pause)

    def _again(self, error: SidecarError, trace: Trace, tries: int) -> float | None:
        """Seconds after which the line is to be asked again; None where its failure is its reply."""
        if isinstance(error, DeadlineExceeded):
            # Without a call it only waited for its turn, or for a provider that is down or has no room.
            return None if trace.tried else 0.0
        if not isinstance(error, UpstreamFailure) or tries >= MOST_TRIES:
            return None
        if error.scope == "request":
            return None
        if self._refusal is not None:
            return 0.0  # the next try waits until it is back
        if not (error.retryable or error.scope == "capacity" or isinstance(error, UpstreamUnreachable)):
            return None
        pause = max(error.retry_after or 0.0, _BACKOFF * 2.0 ** max(0, tries - 1) * (0.5 + random.random() / 2))  # noqa: S311
        return pause if pause <= self._settings.job_timeout else None

    @property
    def _refusal(self) -> UpstreamFailure | None:
        """Why the provider is held for down, where it is."""
        return self._service.kernel.calls.limit.breaker.refusal(idle=False)

    async def _watch(self) -> None:
        """Say that the provider is down, and that it is back; raise `Halted` where waiting for it is in vain."""
        since: float | None = None
        patience = math.inf if self._patience is None else self._patience
        while True:
            refusal = self._refusal
            if isinstance(refusal, UpstreamAuth | RateLimited):
                raise Halted(str(refusal))
            if refusal is None and self._service.kernel.calls.limit.refusing_for >= _NO_ROOM_SECONDS:
                refusal = UpstreamError(_NO_ROOM)
            if refusal is None and since is not None:
                self._telling.say("The AI provider is back.")
                since = None
            elif refusal is not None and since is None:
                self._telling.say(f"{refusal} Waiting until it is back.")
                since = time.monotonic()
            elif refusal is not None and since is not None and time.monotonic() - since >= patience:
                raise Halted(f"{refusal} It was waited for {patience:g} seconds.")
            await asyncio.sleep(_LOOK_SECONDS)

    async def _sync(self) -> None:
        while True:
            await asyncio.sleep(_SYNC_SECONDS)
            await asyncio.to_thread(self._journal.sync)

    async def _halt(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._stopping = True
        # Who waits for a provider that is down would only wait on.
        grace = 0.0 if self._refusal is not None else self._settings.shutdown_grace
        self._service.drain.begin(grace)
        await asyncio.sleep(grace + _LAST_SECONDS)
        raise Halted(TOLD)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What failed first; the rest failed beside it."""
    failure = group.exceptions[0]
    return _first(failure) if isinstance(failure, BaseExceptionGroup) else failure
