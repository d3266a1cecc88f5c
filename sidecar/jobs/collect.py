"""Collecting of the replies of many jobs in the order of their lines, each as soon as those before are written.

A window of jobs is looked at together, so that memory does not grow with the file. Redis may go and come meanwhile.
"""

import asyncio
import contextlib
import re
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

import msgspec

from sidecar.core.errors import InvalidRequest, JobGoesOn, JobsUnavailable, NotFound, SidecarError, plain
from sidecar.core.jobs import Job
from sidecar.core.progress import ProgressPort
from sidecar.engine.formats.formatter import Formatter
from sidecar.jobs.store import JobStore
from sidecar.runtime.line_source import Line

WINDOW: Final = 500
"""Jobs looked at together, and most answers in memory."""
_PAUSES: Final = (0.2, 0.4, 0.8, 1.6)
"""Seconds between two looks, growing while nothing ends, the last again and again."""
_QUIET: Final = 5
"""Looks without news after which the workers are counted."""
_NEVER_SECONDS: Final = 10.0
"""Seconds of patience for a Redis that has never answered: the address may be wrong."""
_ID: Final = re.compile("[0-9a-f]{32}")


class Collected(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Line of the output."""

    job_id: str = ""
    status: str = ""
    success: bool
    data: str | None = None
    error: str | None = None
    code: str | None = None


class _Named(msgspec.Struct):
    job_id: str


class _Entry:
    """Line of the input, and its reply once known."""

    __slots__ = ("job_id", "reply", "status")

    def __init__(self, job_id: str, reply: Collected | None = None) -> None:
        self.job_id = job_id
        self.reply = reply
        self.status = ""


_decode: Final = msgspec.json.Decoder(_Named).decode
_encode: Final = msgspec.json.Encoder().encode


class Collecting:
    """Run of one collecting. `patience`: seconds after which jobs that go on are reported as they are; None: never."""

    def __init__(
        self,
        store: JobStore,
        progress: ProgressPort,
        *,
        patience: float | None,
        stop: asyncio.Event,
        formatter: Formatter,
        never: float = _NEVER_SECONDS,
    ) -> None:
        self.counts: Counter[str] = Counter()
        """Lines written, by outcome."""
        self._store = store
        self._progress = progress
        self._until = None if patience is None else time.monotonic() + patience
        self._never = time.monotonic() + never
        self._stop = stop
        self._formatter = formatter
        self._seen = False
        """True once Redis has answered."""
        self._away = False
        self._workers_checked = False
        self._last = False
        """True once patience has ended: the rest is looked at once."""
        self._given_up: JobsUnavailable | None = None
        """Error that ended the looks at Redis."""

    async def write(self, lines: Iterator[Line], write: Callable[[bytes], Awaitable[None]]) -> None:
        """Write a reply for each of `lines`, in their order; return early where `stop` is set."""
        window: deque[_Entry] = deque()
        quiet, ended = 0, False
        while not self._stop.is_set():
            while len(window) < WINDOW and not ended:
                line = next(lines, None)
                ended = line is None
                if line is not None:
                    window.append(self._entry(line))
            if not window:
                return
            self._last = self._last or (self._until is not None and time.monotonic() >= self._until)
            news = await self._look([entry for entry in window if entry.reply is None])
            await self._flush(window, write)
            quiet = 0 if news else quiet + 1
            if window and not self._last and window[0].reply is None:
                if quiet == _QUIET:
                    await self._check_workers()
                await self._pause(_PAUSES[min(quiet, len(_PAUSES) - 1)])

    def _entry(self, line: Line) -> _Entry:
        try:
            job_id = self._id(line)
        except SidecarError as exc:
            return _Entry("", Collected(success=False, error=plain(f"Line {line.number}: {exc}"), code=exc.code))
        if _ID.fullmatch(job_id) is None:
            return _Entry("", Collected(job_id=plain(job_id, 64), success=False, error=_UNKNOWN, code=NotFound.code))
        return _Entry(job_id)

    def _id(self, line: Line) -> str:
        if line.fault is None:
            try:
                return _decode(line.text).job_id
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                pass  # a request, or `line.request` raises what is wrong
        request = line.request()
        if request.action == "chat" and not request.user_id:
            raise InvalidRequest("A chat without user_id has an id of chance; give the line that enqueue printed.")
        return self._store.id_of(request)

    async def _look(self, open_: list[_Entry]) -> bool:
        """Look at the open entries; return whether a reply was found."""
        ids = list(dict.fromkeys(entry.job_id for entry in open_))
        found: dict[str, Job | None] = {}
        if ids and self._given_up is None:
            try:
                found = dict(zip(ids, await self._store.look(ids), strict=True))
            except JobsUnavailable as exc:
                self._gone(exc)
            else:
                self._back()
        news = False
        for entry in open_:
            entry.reply = self._reply(entry, found)
            news = news or entry.reply is not None
        return news

    def _reply(self, entry: _Entry, found: dict[str, Job | None]) -> Collected | None:
        """Return the reply of an entry; None while the reply is unknown."""
        if entry.job_id in found:
            job = found[entry.job_id]
            if job is None:
                return Collected(job_id=entry.job_id, success=False, error=_UNKNOWN, code=NotFound.code)
            entry.status = job.status
            if job.ended:
                return self._ended(job)
            error: SidecarError = JobGoesOn(job.job_id)
            sentence = _NOT_YET
        elif self._given_up is not None:
            error = self._given_up
            sentence = str(error)
        else:
            return None
        if not self._last:
            return None
        return Collected(job_id=entry.job_id, status=entry.status, success=False, error=sentence, code=error.code)

    def _ended(self, job: Job) -> Collected:
        if job.status == "complete":
            data = self._formatter.write(job.data)
            return Collected(job_id=job.job_id, status=job.status, success=True, data=data)
        error, code = (job.error, job.code) if job.status == "failed" else (_CANCELLED, job.status)
        return Collected(job_id=job.job_id, status=job.status, success=False, error=error, code=code)

    async def _check_workers(self) -> None:
        """Say once that no worker is alive, or why Redis takes nothing, where that is so."""
        if self._away or self._workers_checked:
            return
        self._workers_checked = True
        with contextlib.suppress(JobsUnavailable):
            if not await self._store.workers():
                self._progress.say("No worker is alive; the jobs wait until one is started.")
            if trouble := (await self._store.health.look()).trouble:
                self._progress.say(trouble)

    def _gone(self, error: JobsUnavailable) -> None:
        if self._last or not (self._seen or time.monotonic() < self._never):
            self._last, self._given_up = True, error
            self._progress.say(str(error))
        elif not self._away:
            self._away = True
            self._progress.say(f"{error} Waiting until it is there.")

    def _back(self) -> None:
        self._seen = True
        if self._away:
            self._away = False
            self._progress.say("Redis is there again.")

    async def _flush(self, window: deque[_Entry], write: Callable[[bytes], Awaitable[None]]) -> None:
        replies = bytearray()
        count = 0
        while window and (reply := window[0].reply) is not None:
            window.popleft()
            replies += _encode(reply) + b"\n"
            self.counts[_outcome(reply)] += 1
            count += 1
        if count:
            await write(bytes(replies))
            self._progress.step(count)

    async def _pause(self, seconds: float) -> None:
        if self._until is not None:
            seconds = min(seconds, max(0.0, self._until - time.monotonic()))
        try:
            await asyncio.wait_for(self._stop.wait(), seconds)
        except TimeoutError:
            return


def _outcome(reply: Collected) -> str:
    if reply.status in ("complete", "failed", "cancelled"):
        return reply.status
    if reply.code == NotFound.code:
        return "unknown or expired"
    if reply.code == JobsUnavailable.code:
        return "not looked at"
    return "not ended" if reply.job_id else "wrong lines"


_UNKNOWN: Final = "There is no job of this id, or no longer."
_NOT_YET: Final = "The job has not ended yet. Collect it again later."
_CANCELLED: Final = "The job was cancelled."
