"""The pump: a stream's events to its caller, within the bounds that every stream has."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from typing import Final

from sidecar.core.errors import DeadlineExceeded, EmptyResponse
from sidecar.core.until import Until
from sidecar.engine.drain import Drain
from sidecar.engine.movement import Movement, Queue

SILENT_SECONDS: Final = 30.0
"""After its first event a stream ends when nothing came, or nothing was taken, for so long (CONTRACT)."""
UNREAD_SECONDS: Final = 5.0
"""After so long without a reader a stream ends if calls wait for its slot: some megabytes wait for its caller then."""
STREAM_SECONDS: Final = 600.0
"""After its first event a stream ends after so long in all: it holds a slot."""

_SILENT: Final = "The stream stood still for too long and was ended."

Send = Callable[[bytes], Awaitable[None]]
"""Takes one event's data to the caller, or a sign of life where the data is blank; raises `ConnectionError` once the
caller has left."""


class Pump:
    """Sends streams on. `queue` has the calls that wait for a slot."""

    def __init__(
        self,
        drain: Drain,
        queue: Queue,
        clock: Callable[[], float],
        *,
        silent_seconds: float = SILENT_SECONDS,
        unread_seconds: float = UNREAD_SECONDS,
        stream_seconds: float = STREAM_SECONDS,
    ) -> None:
        self._drain = drain
        self._queue = queue
        self._clock = clock
        self._silent_seconds = silent_seconds
        self._unread_seconds = unread_seconds
        self._stream_seconds = stream_seconds

    async def run(
        self, coming: AsyncGenerator[bytes, None], send: Send, *, deadline: float, check: Callable[[], None]
    ) -> None:
        """Give the events of `coming` to `send`. `check` may refuse them; the deadline is the first event's.

        Raises what ended the stream before its time.
        """
        async with contextlib.aclosing(coming):
            with self._drain.within(deadline):
                check()
                data = await anext(coming, None)
            if data is None:
                raise EmptyResponse(status=200)
            with self._drain.within(self._clock() + self._stream_seconds), self._moving() as movement:
                while data is not None:
                    movement.sends()
                    await send(data)
                    movement.moved()
                    data = await anext(coming, None)
                    movement.moved()

    @contextlib.contextmanager
    def _moving(self) -> Iterator[Movement]:
        """End the block with `DeadlineExceeded` once the stream stands still for too long."""
        try:
            with Until(asyncio.get_running_loop().time() + self._silent_seconds) as timeout:
                silent, unread = self._silent_seconds, self._unread_seconds
                with Movement(timeout, self._queue, silent=silent, unread=unread) as movement:
                    yield movement
        except TimeoutError as exc:
            raise DeadlineExceeded(_SILENT) from exc
