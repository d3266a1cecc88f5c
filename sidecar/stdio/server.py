"""Server of stdio: one JSON request a line in, one JSON reply a line out, in the order of the requests.

A line's deadline starts when the line has a place and a free worker, and the place is held until the reply is
written. So no line runs out of time in the queue, and memory is bounded for any input.
"""

import asyncio
import errno
import os
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from sidecar.config.settings import Settings
from sidecar.core import events
from sidecar.core.contract import encode_reply, failed, parse_request
from sidecar.core.errors import InternalError, ShuttingDown, SidecarError, TooLarge
from sidecar.engine.admission import Admission, Place
from sidecar.engine.drain import Drain
from sidecar.engine.engine import Engine
from sidecar.engine.request import ActionRequest
from sidecar.runtime.lines import LineSplitter
from sidecar.runtime.pipes import read_chunk, reader_left, write_all

LOST: Final = 1
"""The exit code if replies could not be written although a reader may want them."""
_GONE: Final = frozenset({errno.EPIPE, errno.ECONNRESET, errno.EBADF, errno.ENOTCONN})
"""Errors of a write whose reader has left, which ends the process like the end of input."""
_LAST_WRITES: Final = 1.0
"""Seconds after the grace in which the last replies must be written."""


class Answering(Protocol):
    """Port: the parts that answer lines."""

    @property
    def admission(self) -> Admission: ...

    @property
    def drain(self) -> Drain: ...

    @property
    def engine(self) -> Engine: ...

    @property
    def clock(self) -> Callable[[], float]:
        """The monotonic clock that every deadline is a point on."""
        ...


async def serve_stdio(
    service: Answering,
    settings: Settings,
    *,
    source: int,
    sink: int,
    stop: asyncio.Event | None = None,
    waited: float = 0.0,
) -> int:
    """Answer lines of the descriptor `source` on `sink` until the input ends or `stop` is set; return the exit code.

    After `stop` no more lines are read, and those already taken have `SHUTDOWN_GRACE`. Once the reader of the
    replies has left, running requests are cancelled. `waited` is the time in seconds that the process waited for its
    place; it counts against the first line's deadline.
    """
    stopped = stop or asyncio.Event()
    work = _Work(service, settings, sink, waited)
    with reader_left(sink) as left:
        taking = asyncio.create_task(work.take(source, settings.max_body_bytes), name="stdio-taking")
        writing = asyncio.create_task(work.write(), name="stdio-writing")
        leaving = asyncio.create_task(left.wait(), name="stdio-leaving")
        stopping = asyncio.create_task(stopped.wait(), name="stdio-stopping")
        try:
            await asyncio.wait((writing, leaving, stopping), return_when=asyncio.FIRST_COMPLETED)
            if stopped.is_set() and not (writing.done() or leaving.done()):
                taking.cancel()
                service.drain.begin(settings.shutdown_grace)
                longest = settings.shutdown_grace + _LAST_WRITES
                await asyncio.wait((writing, leaving), timeout=longest, return_when=asyncio.FIRST_COMPLETED)
            return _exit_code(taking, writing, reader_gone=left.is_set())
        finally:
            await work.abandon((taking, writing, leaving, stopping))


def _exit_code(taking: asyncio.Task[None], writing: asyncio.Task[None], *, reader_gone: bool) -> int:
    if reader_gone:
        return 0
    if not writing.done():
        events.warning("replies_lost", reason="nobody reads them")
        return LOST
    if (exc := writing.exception()) is not None:
        if isinstance(exc, OSError) and exc.errno in _GONE:
            return 0
        if not isinstance(exc, OSError):
            raise exc
        events.warning("replies_lost", reason=os.strerror(exc.errno or 0))
        return LOST
    if taking.done() and not taking.cancelled():
        taking.result()
    return 0


class _Taken:
    """Line that was read: its reply, finished or in flight, and the place that is held until the reply is written."""

    __slots__ = ("place", "reply")

    def __init__(self, reply: asyncio.Task[bytes] | bytes, place: Place | None) -> None:
        self.reply = reply
        self.place = place


class _Work:
    """Lines that are read and not yet answered, oldest first."""

    def __init__(self, service: Answering, settings: Settings, sink: int, waited: float) -> None:
        self._service = service
        self._timeout = settings.request_timeout
        self._sink = sink
        self._waited = waited
        # A line beyond the limit on provider calls would spend its deadline waiting.
        self._at_work = asyncio.Semaphore(settings.concurrency)
        # The number of places bounds this queue, since each line takes a place first.
        self._taken: asyncio.Queue[_Taken | None] = asyncio.Queue()
        self._writing: _Taken | None = None
        self._answers: set[asyncio.Task[bytes]] = set()

    async def take(self, source: int, longest: int) -> None:
        """Read line by line and start each line as soon as possible, until the input ends."""
        splitter, ended = LineSplitter(longest), False
        try:
            while True:
                try:
                    line: bytes | TooLarge | None = splitter.take()
                except TooLarge as exc:
                    line = exc
                if line is not None:
                    await self._start(line)
                elif ended:
                    return
                elif chunk := await read_chunk(source):
                    splitter.feed(chunk)
                else:
                    splitter.end()
                    ended = True
        finally:
            self._taken.put_nowait(None)

    async def _start(self, line: bytes | TooLarge) -> None:
        place = None
        try:
            place = await self._service.admission.wait(len(line) if isinstance(line, bytes) else 0)
            await self._at_work.acquire()
        except asyncio.CancelledError:
            self._taken.put_nowait(_Taken(_encoded(ShuttingDown()), place))
            raise
        arrived = self._service.clock() - self._waited
        self._waited = 0.0
        task = asyncio.create_task(self._answer(line, arrived), name="stdio-line")
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)
        self._taken.put_nowait(_Taken(task, place))

    async def _answer(self, line: bytes | TooLarge, arrived: float) -> bytes:
        try:
            if isinstance(line, TooLarge):
                return _encoded(line)
            request = parse_request(line)
            del line  # it may be megabytes, and the request has its texts
            action = ActionRequest(
                request=request,
                deadline=arrived + self._timeout,
                request_id=os.urandom(8).hex(),
                route="stdio",
                origin="stdio",
                arrived=arrived,
                patient=True,
            )
            return encode_reply((await self._service.engine.answer(action)).reply)
        except SidecarError as exc:
            return _encoded(exc)
        except Exception as exc:  # noqa: BLE001 - the line's outermost: every line has its reply
            events.fault("internal", exc)
            return _encoded(InternalError())
        finally:
            self._at_work.release()

    async def write(self) -> None:
        """Write each reply in its turn until the last line has its own; raise `OSError` if a write fails."""
        while (taken := await self._taken.get()) is not None:
            self._writing = taken
            reply = taken.reply if isinstance(taken.reply, bytes) else await taken.reply
            await write_all(self._sink, reply + b"\n")
            self._writing = None
            self._end(taken)

    async def abandon(self, tasks: Iterable[asyncio.Task[object]]) -> None:
        """Cancel `tasks` and the requests still running, and release every place."""
        for task in tasks:
            task.cancel()
        if self._writing is not None:
            self._end(self._writing)
        while not self._taken.empty():
            if (taken := self._taken.get_nowait()) is not None:
                self._end(taken)
        await asyncio.gather(*tasks, *self._answers, return_exceptions=True)

    def _end(self, taken: _Taken) -> None:
        if isinstance(taken.reply, asyncio.Task):
            taken.reply.cancel()
        if taken.place is not None:
            self._service.admission.release(taken.place)


def _encoded(error: SidecarError) -> bytes:
    return encode_reply(failed(error))
