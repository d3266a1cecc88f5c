"""Accepting: connections are taken from the listening socket as long as there is room for them.

Written out because the loops' own servers lose callers where it matters: asyncio's forgets whom it took in the turn
in which it is closed, uvloop's resets whom it has no descriptor for. What waits in the kernel's backlog loses nothing.
"""

import asyncio
import socket
from typing import Final

from sidecar.core import events
from sidecar.http.server.connections import Connections
from sidecar.http.server.protocol import Protocol

AT_ONCE: Final = 64
"""Connections taken in one turn of the loop: those that are here go on in between."""
RETRY_SECONDS: Final = 1.0
"""The wait after the kernel would not give a connection: no ending of ours need tell when it will again."""


class Acceptor:
    """Takes connections from `sock`, which it owns, until `most` are open; goes on when an eighth of them has ended."""

    def __init__(self, sock: socket.socket, connections: Connections, *, most: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._sock = sock
        self._connections = connections
        self._most = most
        # Apart from `most`, lest it pauses and goes on with every single caller.
        self._resume_at = most - max(1, most // 8)
        self._paused = False
        self._retry: asyncio.TimerHandle | None = None
        self._opening: set[asyncio.Task[None]] = set()
        connections.on_end = self._ended
        self._loop.add_reader(sock, self._ready)

    def stop(self, *, last: bool) -> None:
        """Take nobody from now on: who comes is the business of others with the same socket, if there are any.

        With `last` there are none: who waits in the backlog is taken first, for the kernel would reset him. Whom
        there is no room for it does reset, and who connects between that look and the close, a few microseconds.
        """
        if self._sock.fileno() < 0:
            return
        self._loop.remove_reader(self._sock)
        if last:
            self._take(self._most - len(self._connections.open))
        self._sock.close()
        self._connections.on_end = None
        if self._retry is not None:
            self._retry.cancel()

    async def settled(self) -> None:
        """Return once everyone who was taken has his connection."""
        while self._opening:
            await asyncio.wait(self._opening)

    def _ready(self) -> None:
        free = self._most - len(self._connections.open)
        if free <= 0:
            self._pause()
        if (failure := self._take(min(free, AT_ONCE))) is not None:
            # No descriptor left in the whole machine, or no memory: the caller stays in the backlog.
            self._pause(failure.strerror)
            self._retry = self._loop.call_later(RETRY_SECONDS, self._resume)

    def _take(self, most: int) -> OSError | None:
        """Take who is in the backlog; why the kernel would not give the next one, where it would not."""
        for _ in range(most):
            try:
                sock, _ = self._sock.accept()
            except BlockingIOError:
                return None
            except ConnectionAbortedError:
                continue
            except OSError as exc:
                return exc
            sock.setblocking(False)
            task = self._loop.create_task(self._open(sock, self._connections()), name="accept")
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)
        return None

    async def _open(self, sock: socket.socket, protocol: Protocol) -> None:
        try:
            await self._loop.connect_accepted_socket(lambda: protocol, sock)
        except Exception as exc:  # noqa: BLE001 - the task's outermost
            sock.close()
            self._connections.forget(protocol)
            events.fault("internal", exc)

    def _pause(self, reason: str | None = None) -> None:
        self._paused = True
        self._loop.remove_reader(self._sock)
        events.warning("accepting_paused", connections=len(self._connections.open), reason=reason or "descriptors")
        self._connections.keep_none()

    def _ended(self) -> None:
        if self._paused and self._retry is None and len(self._connections.open) <= self._resume_at:
            self._resume()

    def _resume(self) -> None:
        self._paused = False
        self._retry = None
        self._loop.add_reader(self._sock, self._ready)
        events.info("accepting_resumed", connections=len(self._connections.open))
