"""How many one-shot processes work at once on this machine: names held by sockets, which the kernel frees on death.

A place is a Linux abstract socket name, one for each number below the limit; one more is the line of those who wait.
Such names need no file, no directory, no rights and no environment, are the same for every user, are never
inherited, and are gone with their process, however that ends. Lock files would want a directory that PHP's users
and root's cron may both write to. Limits: each network namespace (container) counts for itself, and another local
user out for harm could hold the names, as he could lock files; then the answer is `overloaded`, never a wrong one.

Nothing heavy is imported: a process that waits here is small.
"""

import errno
import select
import socket
import time
from typing import Final

NAME: Final = "openai-moodle-sidecar"
_BACKLOG: Final = 1024
_WATCHED: Final = 64
"""Places watched at once by the first in line, each at the cost of a descriptor."""
_LOOK_AGAIN: Final = 1.0
"""Seconds after which the first in line looks at all places again, watched or not."""
_PAUSE: Final = 0.02
"""Seconds before the next try where the line is full, or the one ahead is about to form it."""


class Place:
    """The right to work, until it is given back or the process ends."""

    def __init__(self, holder: socket.socket | None, waited: float) -> None:
        self._holder = holder
        self.waited = waited
        """Seconds that it took to get it."""

    def release(self) -> None:
        if self._holder is not None:
            self._holder.close()
            self._holder = None


def hold_place(limit: int, wait: float, *, name: str = NAME) -> Place | None:
    """One of `limit` places, first come first served, or None where none came free within `wait` seconds.

    Where the system has no such names, or forbids sockets of that kind, everyone gets a place: a limit that
    cannot be kept must not cost the answer.
    """
    started = time.monotonic()
    until = started + wait
    holder = None
    try:
        # Who has another limit waits for other places, so he stands in a line of his own.
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
    """The socket that those behind are connected to, in their order; None where the time was over before."""
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
                continue  # the first was killed: a new line forms
            else:
                if received:
                    return socket.socket(fileno=received[0])


def _hand_on(line: socket.socket) -> None:
    """Make the next in line the first."""
    with line:
        while True:
            try:
                follower, _ = line.accept()
            except OSError:  # nobody is left; who comes now finds the name free
                return
            with follower:
                try:
                    socket.send_fds(follower, [b"!"], [line.fileno()])
                except OSError:
                    continue  # this one did not wait so long
                return


def _free_place(name: str, limit: int, until: float) -> socket.socket | None:
    """A place, as soon as one is free; only the first in line looks."""
    while True:
        for number in range(limit):
            if (holder := _bound(_address(name, str(number)))) is not None:
                return holder
        if (left := until - time.monotonic()) <= 0:
            return None
        _until_one_ends([_address(name, str(number)) for number in range(min(limit, _WATCHED))], min(left, _LOOK_AGAIN))


def _until_one_ends(addresses: list[bytes], longest: float) -> None:
    """Return when the holder of one of `addresses` is gone, at the latest after `longest` seconds."""
    watchers = []
    poll = select.poll()
    try:
        for address in addresses:
            watcher = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            watchers.append(watcher)
            watcher.setblocking(False)
            try:
                # Never accepted: the holder's end is what answers.
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
    """A socket that has this name, or None where another has it; raises `OSError` where there are no such names."""
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
