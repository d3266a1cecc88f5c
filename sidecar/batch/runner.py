"""Runner of a batch: sends lines through the engine, CONCURRENCY at once, and puts each reply into the journal.

Lines are read only as places come free. A request whose reply is in the journal, or that is in flight, is not sent
again.
"""

import asyncio
import math
import random
import time
from hashlib import sha256
from typing import Final, NamedTuple

import msgspec

from sidecar.batch.index import ID_BYTES
from sidecar.batch.journal import Journal, JournalError, Record
from sidecar.batch.ordered_output import Stream
from sidecar.config.settings import Settings
from sidecar.core import events
from sidecar.core.contract import Request, answered, sendable
from sidecar.core.errors import (
    DeadlineExceeded,
    InternalError,
    ModelUnknown,
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
from sidecar.engine.finality import is_final
from sidecar.engine.formats.formatter import formatter_of
from sidecar.engine.keys import Keys
from sidecar.engine.limiter.trace import Trace
from sidecar.engine.service import Service
from sidecar.runtime.line_source import Line, Source

MOST_TRIES: Final = 3
"""Tries of one line that reached the provider, each with its own retries of provider calls."""
_BACKOFF: Final = 2.0
"""Seconds before the second try and twice as many before the third, less a random share of up to a half."""
_POLL_SECONDS: Final = 0.25
"""Seconds between two checks of whether the provider is down."""
_SYNC_SECONDS: Final = 1.0
"""Seconds between two syncs of the journal, and so the replies that a power cut may cost."""
_LAST_SECONDS: Final = 1.0
"""Seconds after the grace for putting the last replies into the journal."""
_REFUSING_SECONDS: Final = 20.0
"""Seconds after which a provider that refuses every call is reported."""

_REFUSING: Final = "The AI provider refuses every call for now."
STOPPED: Final = "It was told to stop."


class Halted(Exception):
    """End of a batch that cannot continue now; the sentence names the cause."""


def id_of(keys: Keys, request: Request) -> bytes:
    """Return a hash of all that determines the reply. Unlike a job's id, it covers chats without a user_id too."""
    name = keys.of_job(request)
    if request.format is not msgspec.UNSET:
        name = sha256(name + request.format.encode()).digest()
    return name[:ID_BYTES]


class _Taken(NamedTuple):
    """Line in progress."""

    name: bytes
    request: Request
    place: Place


class _Parts:
    """Finished parts of long texts, stored in the journal too."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def find(self, key: bytes) -> str | None:
        record = self._journal.find(key[:ID_BYTES])
        return None if record is None else record.data

    async def keep(self, key: bytes | None, text: str, *, done: int, total: int) -> None:  # noqa: ARG002
        if key is not None and key[:ID_BYTES] not in self._journal:
            self._journal.put(Record(id=key[:ID_BYTES].hex(), data=sendable(text)))


class Runner:
    """One run of a batch. `patience`: seconds to wait for a provider that is down; None: without end."""

    def __init__(
        self,
        service: Service,
        journal: Journal,
        source: Source,
        progress: ProgressPort,
        *,
        settings: Settings,
        patience: float | None,
        stream: Stream | None = None,
    ) -> None:
        self.answered = 0
        """Requests answered in this run."""
        self._service = service
        self._journal = journal
        self._lines = source.lines()
        self._progress = progress
        self._settings = settings
        self._patience = patience
        self._stream = stream
        self._formatter = formatter_of(settings, usual="markdown")
        self._parts = _Parts(journal)
        self._turn = asyncio.Lock()
        self._in_flight: set[bytes] = set()
        self._complete = False
        self._unanswered = False
        """True once a line that was taken ended without a reply."""
        self._stopping = False

    async def run(self, stop: asyncio.Event) -> None:
        """Run until every line has its reply. Once `stop` is set, lines in flight have `SHUTDOWN_GRACE` to finish.

        Raises `Halted` if lines remain without a reply, `JournalError`, or `OSError` if the lines cannot be read.
        """
        failure: BaseException | None = None
        try:
            async with asyncio.TaskGroup() as helpers:
                running = [
                    helpers.create_task(self._watch(), name="batch-provider"),
                    helpers.create_task(self._sync(), name="batch-sync"),
                    helpers.create_task(self._halt(stop), name="batch-stop"),
                ]
                if self._stream is not None:
                    running.append(helpers.create_task(self._stream.flow(), name="batch-output"))
                async with asyncio.TaskGroup() as workers:
                    for number in range(self._settings.concurrency):
                        workers.create_task(self._work(), name=f"batch-{number}")
                if self._stream is not None:
                    await self._stream.end()
                for task in running:
                    task.cancel()
        except BaseExceptionGroup as group:
            failure = _first(group)
        # After a failure too: what was paid for survives a power cut.
        await asyncio.to_thread(self._journal.sync)
        if failure is not None:
            raise failure
        if not self._complete or self._unanswered:
            raise Halted(STOPPED)

    async def _work(self) -> None:
        while (taken := await self._take()) is not None:
            with taken.place:
                record = await self._record(taken)
            if record is None:
                self._unanswered = True
                return
            self._journal.put(record)
            self._in_flight.discard(taken.name)
            self.answered += record.success is True
            if self._stream is not None:
                self._stream.reply_added()
            self._progress.step()

    async def _take(self) -> _Taken | None:
        """Return the next line to send; None at the end."""
        async with self._turn:
            for count, line in enumerate(self._lines, 1):
                if not count % 64:
                    await asyncio.sleep(0)
                if self._stopping:
                    self._unanswered = True
                    return None
                try:
                    request = line.request()
                except SidecarError as exc:
                    await self._in_order(line, exc)
                    self._progress.step()
                    continue
                name = id_of(self._service.kernel.keys, request)
                await self._in_order(line, name)
                if name in self._journal or name in self._in_flight:
                    self._progress.step()
                    continue
                self._in_flight.add(name)
                return _Taken(name, request, await self._service.admission.wait(len(line.text)))
            self._complete = not self._unanswered
            return None

    async def _in_order(self, line: Line, outcome: bytes | SidecarError) -> None:
        if self._stream is not None:
            await self._stream.expect(line.number, outcome)

    async def _record(self, taken: _Taken) -> Record | None:
        """Return the reply to a line; None if the drain ended the request first."""
        name, tries = taken.name.hex(), 0
        while True:
            trace = Trace()
            until = time.monotonic() + self._settings.job_timeout
            try:
                text = await self._service.background.text(
                    taken.request, self._parts, trace, deadline=until, background=False
                )
            except ShuttingDown:
                return None
            except SidecarError as exc:
                error = exc
            except JournalError:
                raise
            except Exception as exc:  # noqa: BLE001 - the line's outermost: an internal fault is a reply too
                events.fault("internal", exc)
                error = InternalError()
            else:
                reply = answered(await self._formatter.written(text, taken.request.format))
                return Record(id=name, success=True, data=reply.data)
            if trace.failed and not (isinstance(error, UpstreamUnreachable) and self._refusal is not None):
                tries += 1
            if (pause := self._retry_pause(error, trace, tries)) is None:
                return Record(id=name, success=False, error=str(error), code=error.code)
            await self._service.kernel.calls.sleep(pause)

    def _retry_pause(self, error: SidecarError, trace: Trace, tries: int) -> float | None:
        """Return the seconds before the next try of the line; None if the failure is its reply."""
        if isinstance(error, DeadlineExceeded):
            # Without a call, the line only waited for its turn, or for a provider that is down or refuses.
            return None if trace.failed else 0.0
        if not isinstance(error, UpstreamFailure) or tries >= MOST_TRIES:
            return None
        # What concerns every line is no line's reply: `_watch` ends the batch.
        every = self._refusal is not None and (isinstance(error, UpstreamAuth) or error.scope == "account")
        if is_final(error) and not every:
            return None
        if self._refusal is not None:
            return 0.0  # the next try waits until the provider is back
        pause = max(error.retry_after or 0.0, _BACKOFF * 2.0 ** max(0, tries - 1) * (0.5 + random.random() / 2))  # noqa: S311
        return pause if pause <= self._settings.job_timeout else None

    @property
    def _refusal(self) -> UpstreamFailure | None:
        """The failure for which the provider counts as down; None while it is up."""
        return self._service.kernel.calls.pool.limits["jobs"].breaker.refusal(idle=False)

    async def _watch(self) -> None:
        """Report that the provider is down, or back; raise `Halted` if waiting is useless or `patience` is over."""
        since: float | None = None
        patience = math.inf if self._patience is None else self._patience
        while True:
            refusal = self._refusal
            if isinstance(refusal, UpstreamAuth | ModelUnknown | RateLimited):
                raise Halted(str(refusal))
            if refusal is None and self._service.kernel.calls.pool.limits["jobs"].refusing_for >= _REFUSING_SECONDS:
                refusal = UpstreamError(_REFUSING)
            if refusal is None and since is not None:
                self._progress.say("The AI provider is back.")
                since = None
            elif refusal is not None and since is None:
                self._progress.say(f"{refusal} Waiting until it is back.")
                since = time.monotonic()
            elif refusal is not None and since is not None and time.monotonic() - since >= patience:
                raise Halted(f"{refusal} It was waited for {patience:g} seconds.")
            await asyncio.sleep(_POLL_SECONDS)

    async def _sync(self) -> None:
        while True:
            await asyncio.sleep(_SYNC_SECONDS)
            syncing = asyncio.create_task(asyncio.to_thread(self._journal.sync), name="batch-journal")
            try:
                await asyncio.shield(syncing)
            except asyncio.CancelledError:
                # The journal is closed next, and its thread is not to be left alone with the descriptor.
                await asyncio.wait((syncing,))
                if not syncing.cancelled() and (failure := syncing.exception()) is not None:
                    raise failure from None
                raise

    async def _halt(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._stopping = True
        # While the provider is down, a grace would only prolong the waiting.
        grace = 0.0 if self._refusal is not None else self._settings.shutdown_grace
        self._service.drain.begin(grace)
        await asyncio.sleep(grace + _LAST_SECONDS)
        raise Halted(STOPPED)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first failure of `group`; the others followed from it."""
    failure = group.exceptions[0]
    return _first(failure) if isinstance(failure, BaseExceptionGroup) else failure
