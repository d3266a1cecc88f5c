"""Acceptor: takes connections from the listening socket up to a limit.

The event loops' own servers lose connections: asyncio's loses those accepted in the turn in which it is closed, and
uvloop's resets those for which no descriptor is free. Connections in the kernel's backlog are safe.
"""

import asyncio
import socket
from typing import Final

from sidecar.core import events
from sidecar.http.server.connections import Connections
from sidecar.http.server.protocol import Protocol
from sidecar.http.server.relayed import Turns

AT_ONCE: Final = 64
"""Most connections accepted in one turn of the loop, so that open ones are served in between."""
AT_ONCE_IN_TURN: Final = 2
"""The same where several processes accept from one socket, so that a burst is shared."""
RETRY_SECONDS: Final = 1.0
"""Wait after accept(2) failed: descriptors and memory may become free without the end of a connection here."""


class Acceptor:
    """Accepts connections from `sock`, which it owns, until `most` are open; resumes when an eighth has ended.

    `turns` shares the connections with other processes that accept from the same socket; None where there are none.
    """

    def __init__(self, sock: socket.socket, connections: Connections, *, most: int, turns: Turns | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._sock = sock
        self._connections = connections
        self._most = most
        # Below `most`: otherwise the acceptor would pause and resume with every single connection.
        self._resume_at = most - max(1, most // 8)
        self._turns = turns
        self._waited = False
        """True once the others had their turn at the connections that wait."""
        self._turn: asyncio.TimerHandle | None = None
        self._paused = False
        self._retry: asyncio.TimerHandle | None = None
        self._opening: set[asyncio.Task[None]] = set()
        connections.on_end = self._ended
        self._loop.add_reader(sock, self._ready)

    def stop(self, *, last: bool) -> None:
        """Accept no more connections; new ones are left to other processes with the same socket.

        With `last` there is no other process: the backlog, which the kernel would reset, is accepted first. Reset are
        connections beyond the limit, and those made in the few microseconds between the last accept and the close.
        """
        if self._sock.fileno() < 0:
            return
        self._loop.remove_reader(self._sock)
        if self._turns is not None:
            self._turns.stop()
        if last:
            self._take(self._most - len(self._connections.open))
        self._sock.close()
        self._connections.on_end = None
        for timer in (self._retry, self._turn):
            if timer is not None:
                timer.cancel()

    async def settled(self) -> None:
        """Return once every accepted connection has its transport."""
        while self._opening:
            await asyncio.wait(self._opening)

    def _ready(self) -> None:
        free = self._most - len(self._connections.open)
        if free <= 0:
            self._pause()
        elif self._turns is not None and self._others_first(self._turns):
            return
        if (failure := self._take(min(free, AT_ONCE if self._turns is None else AT_ONCE_IN_TURN))) is not None:
            # The whole machine has no descriptor left, or no memory: the connection stays in the backlog.
            self._pause(failure.strerror)
            self._retry = self._loop.call_later(RETRY_SECONDS, self._resume)

    def _others_first(self, turns: Turns) -> bool:
        """Leave new connections to processes with fewer, once and for a moment: those may be busy."""
        wait = 0.0 if self._waited else turns.wait(len(self._connections.open))
        self._waited = wait > 0
        if self._waited:
            self._loop.remove_reader(self._sock)
            self._turn = self._loop.call_later(wait, self._own_turn)
        return self._waited

    def _own_turn(self) -> None:
        self._turn = None
        if not self._paused:
            self._loop.add_reader(self._sock, self._ready)

    def _take(self, most: int) -> OSError | None:
        """Accept at most `most` connections from the backlog; return the error of accept(2), None without one."""
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
        self._connections.disable_keep_alive()

    def _ended(self) -> None:
        if self._turns is not None:
            self._turns.count(len(self._connections.open))
        if self._paused and self._retry is None and len(self._connections.open) <= self._resume_at:
            self._resume()

    def _resume(self) -> None:
        self._paused = False
        self._retry = None
        self._loop.add_reader(self._sock, self._ready)
        events.info("accepting_resumed", connections=len(self._connections.open))
