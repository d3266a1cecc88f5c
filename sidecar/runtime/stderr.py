"""Standard error that never waits: what a log nobody reads cannot take is dropped and counted.

A terminal on Ctrl-S, a journal at a standstill or a pipe whose reader sleeps would otherwise stop the whole service.
Descriptor 2 is shared with the parent and with children, so its flags stay as they are: a pipe or a terminal is opened
once more, without blocking; a socket is written to by a call that does not block; anything else is polled first.
"""

import contextlib
import os
import select
import socket
import stat
from collections.abc import Sequence
from typing import Final, Protocol

_PIECE: Final = select.PIPE_BUF
"""Bytes that a pipe which polls as ready takes without blocking, by POSIX."""


class _Sink(Protocol):
    """Writes some of the data, or raises `BlockingIOError` where nothing can be written now."""

    def __call__(self, data: bytes, /) -> int: ...


class NonblockingStderr:
    """Standard error without a buffer. A line is written whole, dropped whole, or finished by the next write.

    A line that a full disk refuses, or whose reader is gone, is lost without a count. Writes never raise.
    """

    encoding: Final = "utf-8"

    def __init__(self, descriptor: int = 2) -> None:
        self._descriptor = descriptor
        self._opened = contextlib.ExitStack()
        self._sink = _sink(descriptor, self._opened)
        self._rest = b""
        """End of a line whose beginning was written."""
        self.lost = 0
        """Lines dropped since the last `lines_lost` line."""

    def write(self, text: str) -> int:
        self.write_lines([text])
        return len(text)

    def write_line(self, text: str) -> bool:
        """Write one line; return False, and count, where it had to be dropped."""
        lost = self.lost
        self.write_lines([text])
        return self.lost == lost

    def write_lines(self, lines: Sequence[str]) -> None:
        """Write lines, as many at a time as a pipe takes as a whole; count those that had to be dropped."""
        self._rest = self._written(self._rest)
        piece: list[bytes] = []
        size = 0
        for line in lines:
            data = line.encode("utf-8", "backslashreplace")
            if piece and size + len(data) > _PIECE:
                self._write_piece(piece)
                piece, size = [], 0
            piece.append(data)
            size += len(data)
        if piece:
            self._write_piece(piece)

    def _write_piece(self, lines: list[bytes]) -> None:
        if self._rest:
            self.lost += len(lines)
            return
        left = len(self._written(b"".join(lines)))
        while lines and left >= len(lines[-1]):
            left -= len(lines.pop())
            self.lost += 1
        if left:
            self._rest = lines[-1][-left:]

    def _written(self, data: bytes) -> bytes:
        """Write as much of `data` as goes without waiting; return the rest."""
        try:
            while data:
                data = data[self._sink(data) :]
        except BlockingIOError:
            return data
        except OSError:
            return b""
        return data

    def close(self) -> None:
        """Close what was opened beside the descriptor."""
        self._opened.close()

    def flush(self) -> None:
        """Do nothing: there is no buffer."""

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        with contextlib.suppress(OSError):
            return os.isatty(self._descriptor)
        return False


def _sink(descriptor: int, opened: contextlib.ExitStack) -> _Sink:
    """Return the way to write to this kind of descriptor; `opened` closes what that takes."""
    try:
        mode = os.fstat(descriptor).st_mode
    except OSError:
        return lambda data: os.write(descriptor, data)  # closed: each write fails at once
    if stat.S_ISREG(mode):
        # Not opened anew: that would begin at the start of the file, over what is there.
        return lambda data: os.write(descriptor, data)
    if stat.S_ISSOCK(mode):
        sock = opened.enter_context(socket.socket(fileno=os.dup(descriptor)))
        return lambda data: sock.send(data, socket.MSG_DONTWAIT)
    if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
        flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        # Refused where another user made the pipe, and without /proc.
        with contextlib.suppress(OSError):
            own = os.open(f"/proc/self/fd/{descriptor}", flags)
            opened.callback(os.close, own)
            return lambda data: os.write(own, data)
    return polled(descriptor)


def polled(descriptor: int) -> _Sink:
    """Return a sink that asks first. Of processes that share a nearly full pipe one may still wait, for its reader."""
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)

    def write(data: bytes) -> int:
        if not poll.poll(0):
            raise BlockingIOError
        return os.write(descriptor, data[:_PIECE])

    return write
