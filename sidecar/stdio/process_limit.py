"""Limit on the one-shot processes at work on this machine: places are socket names, which the kernel frees on death.

A place is a Linux abstract socket name, one for each number below the limit; one more name is the waiting line.
Such names need no file, directory, rights or environment, are the same for every user, are never inherited, and are
gone with their process, however it ends. Lock files would need a directory that both PHP's users and root's cron may
write to. Two limits: each network namespace (container) counts for itself, and a hostile local user could hold the
names (or lock files), which makes the replies `overloaded`, never wrong.

Imports stay light, so that a waiting process is small.
"""

import errno
import os
import select
import socket
import struct
import time
from typing import Final

NAME: Final = "openai-moodle-sidecar"
_BACKLOG: Final = 1024
_WATCHED: Final = 64
"""Places that the first in line watches at once, each at the cost of a descriptor."""
_LOOK_AGAIN: Final = 1.0
"""Seconds after which the first in line tries all places again, watched or not."""
_CREDENTIALS: Final = struct.Struct("3i")
"""Process, user and group, as SO_PEERCRED gives them (unix(7))."""
_PAUSE: Final = 0.02
"""Seconds before the next try when the line is full, or when another process has bound its name but not listened."""


class Place:
    """Place within the process limit, held until it is released or the process ends."""

    def __init__(self, holder: socket.socket | None, waited: float) -> None:
        self._holder = holder
        self.waited = waited
        """Seconds spent waiting for the place."""

    def release(self) -> None:
        if self._holder is not None:
            self._holder.close()
            self._holder = None


def hold_place(limit: int, wait: float, *, name: str = NAME) -> Place | None:
    """Take one of `limit` places, first come first served; return None if none came free within `wait` seconds.

    If the system lacks abstract names or forbids Unix sockets, every process gets a place: a limit that cannot be
    enforced must not cost the answer.
    """
    started = time.monotonic()
    until = started + wait
    holder = None
    try:
        # A process with another limit waits for other places, so each limit has a line of its own.
        line = _first_in_line(_address(name, f"line-{limit}"), until)
        if line is not None:
            try:
                holder = _free_place(name, limit, until)
            finally:
                _hand_on(line)
    except OSError:
        return Place(None, time.monotonic() - started)
    return None if holder is None else Place(holder, time.monotonic() - started)


def _first_in_line(address: bytes, until: float) -> socket.socket | None:
    """Return the listening socket of the line, once this process is first; None if `until` passed before.

    The processes behind are connected to that socket, in their order.
    """
    while True:
        if (line := _bound(address)) is not None:
            line.setblocking(False)
            return line
        if (left := until - time.monotonic()) <= 0:
            return None
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as ahead:
            ahead.settimeout(left)
            try:
                ahead.connect(address)
                _, received, _, _ = socket.recv_fds(ahead, 1, 1, socket.MSG_CMSG_CLOEXEC)
            except TimeoutError:
                return None
            except (ConnectionRefusedError, BlockingIOError):
                time.sleep(min(left, _PAUSE))
            except ConnectionResetError:
                continue  # the first in line was killed: a new line forms
            else:
                if (own := _line_socket(received, address)) is not None:
                    return own
                time.sleep(max(0.0, min(until - time.monotonic(), _PAUSE)))


def _line_socket(received: list[int], address: bytes) -> socket.socket | None:
    """Return the line's socket, or None, with `received` closed, if that is not what another process passed on.

    Any process can listen under the name and pass on any descriptor. Even the line's socket is refused from another
    user, who could make it block at any time; then the line forms again.
    """
    if not received:
        return None
    for surplus in received[1:]:
        os.close(surplus)
    try:
        line = socket.socket(fileno=received[0])
    except OSError:
        os.close(received[0])
        return None
    try:
        if line.getsockname() == address and _listens(line) and _owner(line) in {0, os.geteuid()}:
            line.setblocking(False)
            return line
    except OSError:
        pass
    line.close()
    return None


def _listens(sock: socket.socket) -> bool:
    return sock.type == socket.SOCK_STREAM and bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def _owner(line: socket.socket) -> int:
    """Return the id of the user whose process made the socket listen."""
    credentials = line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    user: int = _CREDENTIALS.unpack(credentials)[1]
    return user


def _hand_on(line: socket.socket) -> None:
    """Pass the line's socket to the next process in line."""
    with line:
        while True:
            try:
                follower, _ = line.accept()
            except OSError:  # the line is empty; the next process finds the name free
                return
            with follower:
                try:
                    socket.send_fds(follower, [b"!"], [line.fileno()])
                except OSError:
                    continue  # this process stopped waiting
                return


def _free_place(name: str, limit: int, until: float) -> socket.socket | None:
    """Return a place as soon as one is free, None once `until` has passed; only the first in line calls this."""
    while True:
        for number in range(limit):
            if (holder := _bound(_address(name, str(number)))) is not None:
                return holder
        if (left := until - time.monotonic()) <= 0:
            return None
        _until_one_ends([_address(name, str(number)) for number in range(min(limit, _WATCHED))], min(left, _LOOK_AGAIN))


def _until_one_ends(addresses: list[bytes], longest: float) -> None:
    """Wait until the holder of one of `addresses` is gone, for `longest` seconds at most."""
    watchers = []
    poll = select.poll()
    try:
        for address in addresses:
            watcher = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            watchers.append(watcher)
            watcher.setblocking(False)
            try:
                # The holder never accepts: the connection ends when the holder does.
                watcher.connect(address)
            except ConnectionRefusedError:
                return
            except BlockingIOError:
                continue
            poll.register(watcher, 0)
        poll.poll(max(1, int(longest * 1000)))
    finally:
        for watcher in watchers:
            watcher.close()


def _bound(address: bytes) -> socket.socket | None:
    """Return a socket bound to `address`, or None if the name is taken; raise `OSError` if names are unsupported."""
    holder = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        holder.bind(address)
        holder.listen(_BACKLOG)
    except OSError as exc:
        holder.close()
        if exc.errno == errno.EADDRINUSE:
            return None
        raise
    return holder


def _address(name: str, which: str) -> bytes:
    return f"\0{name}/{which}".encode()
