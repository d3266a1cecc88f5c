"""Link of two processes: requests, answers and parts of answers, both ways and many at once, over one stream socket.

A frame is its length in four bytes and a MessagePack array of kind, number and body. Both ends are processes of one
service, so that a frame that makes no sense is a fault of ours and ends the link.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, Final, TypeVar, cast

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


class Frame(msgspec.Struct, array_like=True, gc=False):
    """One frame, whose body is decoded by its reader."""

    kind: int
    number: int
    body: msgspec.Raw = msgspec.Raw()


class Lost(ConnectionError):
    """The other process is gone."""


class Parts:
    """Parts of one answer on the side that writes them."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._unread = 0
        self._room = asyncio.Event()

    async def send(self, data: bytes) -> None:
        """Send a part, as soon as the reader has room."""
        while self._unread >= WINDOW:
            self._room.clear()
            await self._room.wait()
        self._unread += 1
        self._write(data)

    def taken(self, count: int) -> None:
        """Record that the reader has taken so many parts."""
        self._unread -= count
        self._room.set()


class _Incoming:
    """An answer on the side that waits for it."""

    __slots__ = ("changed", "ended", "failure", "parts", "result")

    def __init__(self) -> None:
        self.parts: deque[bytes] = deque()
        self.result: msgspec.Raw | None = None
        self.failure: Exception | None = None
        self.ended = False
        self.changed: asyncio.Future[None] | None = None

    def wake(self) -> None:
        if self.changed is not None and not self.changed.done():
            self.changed.set_result(None)

    async def change(self) -> None:
        self.changed = asyncio.get_running_loop().create_future()
        await self.changed

    def end(self, *, result: msgspec.Raw | None = None, failure: Exception | None = None) -> None:
        self.result, self.failure, self.ended = result, failure, True
        self.wake()


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
        self._pending: dict[int, _Incoming] = {}
        self._served: dict[int, tuple[asyncio.Task[None], Parts]] = {}
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(Frame)
        self._buffer = bytearray()
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
        incoming = self._begin(number, message)
        try:
            while not incoming.ended:
                await incoming.change()
        finally:
            self._end(number, incoming)
        if incoming.failure is not None:
            raise incoming.failure
        return answer.decode(incoming.result or b"\xc0")

    async def stream(
        self, message: object, *, number: int = 0, ended: Callable[[msgspec.Raw], None] | None = None
    ) -> AsyncGenerator[bytes, None]:
        """Yield the parts of the answer to `message`; `ended` takes its result. Raises as `request` does."""
        number = number or self.number()
        incoming, taken = self._begin(number, message), 0
        try:
            while True:
                while not incoming.parts and not incoming.ended:
                    await incoming.change()
                if not incoming.parts:
                    break
                yield incoming.parts.popleft()
                taken += 1
                if taken >= WINDOW // 2 and not incoming.ended:
                    self._send(TAKEN, number, taken)
                    taken = 0
        finally:
            self._end(number, incoming)
        if incoming.failure is not None:
            raise incoming.failure
        if ended is not None and incoming.result is not None:
            ended(incoming.result)

    def tell(self, message: object) -> None:
        """Send a message that has no answer; nothing is sent once the other process is gone."""
        if not self.gone:
            self._send(NOTE, 0, message)

    def _begin(self, number: int, message: object) -> _Incoming:
        if self.gone or self._transport is None:
            raise Lost
        self._send(REQUEST, number, message)
        incoming = self._pending[number] = _Incoming()
        return incoming

    def _end(self, number: int, incoming: _Incoming) -> None:
        self._pending.pop(number, None)
        if not incoming.ended and not self.gone:
            self._send(CANCEL, number, None)

    def _send(self, kind: int, number: int, body: object) -> None:
        frame = bytearray(_LENGTH)
        self._encoder.encode_into((kind, number, body), frame, _LENGTH)
        frame[:_LENGTH] = (len(frame) - _LENGTH).to_bytes(_LENGTH, "big")
        if self._transport is not None:
            self._transport.write(frame)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's signature
        self.gone = True
        # First the requests of the process that is gone: an answer that nobody waits for must not begin anew elsewhere.
        for task, _ in list(self._served.values()):
            task.cancel()
        for incoming in list(self._pending.values()):
            incoming.end(failure=Lost())
        if self._lost is not None:
            self._lost()

    def close(self) -> None:
        """End the link."""
        if self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        buffer: bytes | bytearray = data
        if self._buffer:
            self._buffer += data
            buffer = self._buffer
        start, size = 0, len(buffer)
        while size - start >= _LENGTH:
            length = int.from_bytes(buffer[start : start + _LENGTH], "big")
            end = start + _LENGTH + length
            if length > LONGEST_FRAME:
                self.close()
                return
            if end > size:
                break
            self._received(bytes(memoryview(buffer)[start + _LENGTH : end]))
            start = end
        self._buffer = bytearray(memoryview(buffer)[start:]) if start or buffer is data else self._buffer

    def _received(self, data: bytes) -> None:
        try:
            frame = self._decoder.decode(data)
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
        parts = Parts(lambda data: self._send(PART, number, data))
        task = asyncio.get_running_loop().create_task(self._serve(number, body, parts), name="request of a process")
        self._served[number] = task, parts

    async def _serve(self, number: int, body: msgspec.Raw, parts: Parts) -> None:
        try:
            try:
                result = await self._work(number, body, parts)
            finally:
                del self._served[number]
            self._send(DONE, number, result)
        except asyncio.CancelledError:
            return  # the other process wants no answer, or is gone
        except SidecarError as exc:
            self._send(FAILED, number, failure_of(exc))
        except Lost:
            return
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
        if (incoming := self._pending.get(frame.number)) is None:
            return  # nobody waits any more
        if frame.kind == PART:
            incoming.parts.append(msgspec.msgpack.decode(frame.body, type=bytes))
            incoming.wake()
        elif frame.kind == DONE:
            incoming.end(result=frame.body)
        else:
            incoming.end(failure=error_from(msgspec.msgpack.decode(frame.body, type=Failure)))


def result_of(kind: Any) -> Any:
    """Return the decoder of results of this type."""
    return msgspec.msgpack.Decoder(kind)
