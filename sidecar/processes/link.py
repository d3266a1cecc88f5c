"""Link of two processes: requests, answers and parts of answers, both ways and many at once, over one stream socket.

A frame is its length in four bytes and a MessagePack array of kind, number and body. Both ends are processes of one
service, so that a frame that makes no sense is a fault of ours and ends the link.
"""

import asyncio
import struct
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Final, TypeVar, cast

import msgspec

from sidecar.core import events
from sidecar.core.errors import InternalError, SidecarError
from sidecar.processes.failures import Failure, error_from, failure_of

REQUEST, CANCEL, PART, TAKEN, DONE, FAILED, NOTE = range(7)
"""Kinds of frames: a request; its end before its time; a part of its answer; parts that were read; its result; its
failure; a message without an answer."""
WINDOW: Final = 8
"""Parts of one answer that may be on their way unread, so that a slow reader holds up its writer and nobody else."""
LONGEST_FRAME: Final = 2**31
"""Bytes of a frame, at most: the largest bodies are bounded by settings, far below."""
_LENGTH: Final = 4

Answer = TypeVar("Answer")
_length_at: Final = struct.Struct(">I").unpack_from
_part: Final = msgspec.msgpack.Decoder(bytes).decode
_failure: Final = msgspec.msgpack.Decoder(Failure).decode


class Frame(msgspec.Struct, array_like=True, gc=False):
    """One frame, whose body is decoded by its reader."""

    kind: int
    number: int
    body: msgspec.Raw = msgspec.Raw()


class Lost(ConnectionError):
    """The other process is gone."""


class Parts:
    """Parts of one answer on the side that writes them."""

    __slots__ = ("_number", "_room", "_unread", "_write")

    def __init__(self, write: Callable[[int, int, object], None], number: int) -> None:
        self._write = write
        self._number = number
        self._unread = 0
        self._room: asyncio.Event | None = None

    async def send(self, data: bytes) -> None:
        """Send a part, as soon as the reader has room."""
        while self._unread >= WINDOW:
            self._room = asyncio.Event()
            await self._room.wait()
        self._unread += 1
        self._write(PART, self._number, data)

    def taken(self, count: int) -> None:
        """Record that the reader has taken so many parts."""
        self._unread -= count
        if self._room is not None:
            self._room.set()


class _Reading:
    """A streamed answer on the side that reads it."""

    __slots__ = ("changed", "parts")

    def __init__(self) -> None:
        self.parts: deque[bytes] = deque()
        self.changed = asyncio.Event()


Work = Callable[[int, msgspec.Raw, Parts], Awaitable[object]]
"""Answers a request of the other process: its number, its body, and where parts of the answer go."""


class Link(asyncio.Protocol):
    """One end. `work` answers requests, `note` takes messages without an answer, `lost` is called at the end."""

    def __init__(
        self, work: Work, *, note: Callable[[msgspec.Raw], None], lost: Callable[[], None] | None = None
    ) -> None:
        self._work = work
        self._note = note
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        self._numbers = 0
        self._pending: dict[int, asyncio.Future[msgspec.Raw]] = {}
        self._reading: dict[int, _Reading] = {}
        self._served: dict[int, tuple[asyncio.Task[None], Parts]] = {}
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(Frame).decode
        self._held = bytearray()
        self.gone = False
        """True once the other process is gone."""

    def __repr__(self) -> str:
        return f"<Link {'gone' if self.gone else 'open'}, {len(self._pending)} pending, {len(self._served)} served>"

    def number(self) -> int:
        """Return the number of a request to come."""
        self._numbers += 1
        return self._numbers

    async def request(self, message: object, answer: "msgspec.msgpack.Decoder[Answer]", *, number: int = 0) -> Answer:
        """Return the answer to `message`; raise the error that the other process raised, or `Lost`."""
        number = number or self.number()
        ended = self._begin(number, message)
        try:
            return answer.decode(await ended)
        finally:
            self._end(number)

    async def stream(
        self, message: object, *, number: int = 0, ended: Callable[[msgspec.Raw], None] | None = None
    ) -> AsyncGenerator[bytes, None]:
        """Yield the parts of the answer to `message`. Raises as `request` does.

        `ended` takes the result as soon as it is there, while the last parts may still be unread.
        """
        number, taken = number or self.number(), 0
        result = self._begin(number, message)
        reading = self._reading[number] = _Reading()

        def over(_: object) -> None:
            nonlocal ended
            reading.changed.set()
            if ended is not None and not result.cancelled() and result.exception() is None:
                ended(result.result())
                ended = None

        result.add_done_callback(over)
        try:
            while not result.done() or reading.parts:
                if not reading.parts:
                    reading.changed.clear()
                    await reading.changed.wait()
                    continue
                yield reading.parts.popleft()
                taken += 1
                if taken >= WINDOW // 2 and not result.done():
                    self._send(TAKEN, number, taken)
                    taken = 0
            result.result()
            over(None)  # the callback may still be due
        finally:
            del self._reading[number]
            self._end(number)

    def tell(self, message: object) -> None:
        """Send a message that has no answer; nothing is sent once the other process is gone."""
        if not self.gone:
            self._send(NOTE, 0, message)

    def _begin(self, number: int, message: object) -> "asyncio.Future[msgspec.Raw]":
        """Send a request; return the future of its result."""
        if self.gone or self._transport is None:
            raise Lost
        self._send(REQUEST, number, message)
        ended = self._pending[number] = asyncio.get_running_loop().create_future()
        return ended

    def _end(self, number: int) -> None:
        """Forget a request; one that has no result yet is cancelled at the other end."""
        if self._pending.pop(number, None) is not None and not self.gone:
            self._send(CANCEL, number, None)

    def _send(self, kind: int, number: int, body: object) -> None:
        frame = self._encode((kind, number, body))
        if self._transport is not None and not self.gone:
            self._transport.write(len(frame).to_bytes(_LENGTH, "big") + frame)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's signature
        self.gone = True
        # First the requests of the process that is gone: an answer that nobody waits for must not begin anew elsewhere.
        for task, _ in list(self._served.values()):
            task.cancel()
        for ended in self._pending.values():
            if not ended.done():
                ended.set_exception(Lost())
        self._pending.clear()
        if self._lost is not None:
            self._lost()

    def close(self) -> None:
        """End the link."""
        if self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        if self._held:
            self._held += data
            data = bytes(self._held) if self._complete() else b""
            if not data:
                return
            self._held.clear()
        start, size, whole = 0, len(data), memoryview(data)
        while size - start >= _LENGTH:
            length = _length_at(data, start)[0]
            if length > LONGEST_FRAME:
                self.close()
                return
            end = start + _LENGTH + length
            if end > size:
                break
            # Views, without a copy: what stays of a message holds the bytes that came with it.
            self._received(whole[start + _LENGTH : end])
            start = end
        if start < size:
            self._held += whole[start:]

    def _complete(self) -> bool:
        """Return whether the bytes held have a whole frame, so that a large one is put together once."""
        if (size := len(self._held) - _LENGTH) < 0:
            return False
        length: int = _length_at(self._held, 0)[0]
        return length > LONGEST_FRAME or length <= size

    def _received(self, data: memoryview) -> None:
        try:
            frame = self._decode(data)
        except msgspec.DecodeError as exc:
            events.fault("internal", exc)
            self.close()
            return
        match frame.kind:
            case 0:  # REQUEST
                self._start(frame.number, frame.body)
            case 1 | 3:  # CANCEL, TAKEN
                self._about_served(frame)
            case 6:  # NOTE
                self._note(frame.body)
            case _:
                self._answered(frame)

    def _start(self, number: int, body: msgspec.Raw) -> None:
        parts = Parts(self._send, number)
        task = asyncio.create_task(self._serve(number, body, parts), name="request of a process")
        self._served[number] = task, parts
        # Not in the task, which never runs if it is cancelled in the same turn.
        task.add_done_callback(lambda _: self._served.pop(number))

    async def _serve(self, number: int, body: msgspec.Raw, parts: Parts) -> None:
        try:
            self._send(DONE, number, await self._work(number, body, parts))
        except SidecarError as exc:
            self._send(FAILED, number, failure_of(exc))
        except (asyncio.CancelledError, Lost):  # mostly the wish of the other process, which then ignores this
            self._send(FAILED, number, failure_of(InternalError()))
        except Exception as exc:  # noqa: BLE001 - the task's outermost: the other process must have an answer
            events.fault("internal", exc)
            self._send(FAILED, number, failure_of(InternalError()))

    def _about_served(self, frame: Frame) -> None:
        if (served := self._served.get(frame.number)) is None:
            return  # answered in the meantime
        if frame.kind == CANCEL:
            served[0].cancel()
        else:
            served[1].taken(msgspec.msgpack.decode(frame.body, type=int))

    def _answered(self, frame: Frame) -> None:
        number = frame.number
        if frame.kind == PART:
            if (reading := self._reading.get(number)) is not None:
                reading.parts.append(_part(frame.body))
                reading.changed.set()
            return
        # Out of the pending ones at once: what has a result must not be cancelled at the other end.
        ended = self._pending.pop(number, None)
        if ended is None or ended.done():
            return  # nobody waits any more
        if frame.kind == DONE:
            ended.set_result(frame.body)
        else:
            ended.set_exception(error_from(_failure(frame.body)))
