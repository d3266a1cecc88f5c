"""Standard descriptors of a one-shot process: the kind of stdin, a stdout for replies alone, a bounded stderr.

PHP reads stderr only after stdout has ended. A full pipe at stderr would hang PHP for good, with the user's session
lock held (CONTRACT, "Who calls").
"""

import errno
import io
import os
import select
import stat
import sys
from collections.abc import Callable
from typing import Final, TextIO, cast

STDERR_BYTES: Final = 16 * 1024
"""The most bytes that a one-shot process writes to stderr."""
_LAST_WORDS: Final = b"\n(this was too long: nothing more is said here)\n"
_PIECE: Final = select.PIPE_BUF
"""Bytes that a ready pipe takes without blocking, by POSIX."""


def has_piped_data(descriptor: int = 0) -> bool:
    """Return True for a pipe, a socket or a regular file; False for a terminal, /dev/null or a closed descriptor."""
    try:
        mode = os.fstat(descriptor).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or stat.S_ISREG(mode)


def fill_missing() -> None:
    """Open /dev/null at each of the descriptors 0 to 2 that is closed, so that no socket gets a standard number."""
    for wanted in range(3):
        try:
            os.fstat(wanted)
        except OSError as exc:
            if exc.errno != errno.EBADF:
                raise
            _divert(wanted)


def protect_stdout() -> int:
    """Return a private descriptor for replies, and make descriptor 1 discard all other output, of C libraries too.

    Such output is discarded and not sent to stderr, where `STDERR_BYTES` could not bound it. Text that Python
    printed before and did not flush is discarded too. If stdout was closed from the start, the returned descriptor
    is that of a pipe without a reader.
    """
    fill_missing()
    wire = os.dup(1) if sys.__stdout__ is not None else _abandoned_pipe()
    _divert(1)
    return wire


def bound_stderr(limit: int = STDERR_BYTES) -> Callable[[], None]:
    """Limit stderr to `limit` bytes from now on; return a function that lifts the limit.

    `sys.stderr` writes to a private descriptor and counts its bytes. Descriptor 2 itself discards, since output of a
    C library cannot be counted. Tracebacks, warnings and logs that are set up later go through `sys.stderr`.
    """
    if isinstance(sys.stderr, LimitedStream):
        return lambda: None
    fill_missing()
    saved = (sys.stderr, sys.__stderr__)
    private = os.dup(2)
    _divert(2)
    # While the interpreter shuts down, it falls back on `sys.__stderr__`.
    sys.stderr = sys.__stderr__ = cast("TextIO", LimitedStream(private, limit))  # type: ignore[misc,assignment]

    def undo() -> None:
        os.dup2(private, 2)
        os.close(private)
        sys.stderr, sys.__stderr__ = saved  # type: ignore[misc]

    return undo


class LimitedStream(io.TextIOBase):
    """Text stream of at most `limit` bytes, whose last ones report that the limit is reached; writes never block.

    Bytes that a full or closed descriptor refuses are lost: a message on stderr is worth less than a reply.
    """

    def __init__(self, descriptor: int, limit: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._left = limit - len(_LAST_WORDS)

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if self._left >= 0:
            data = text.encode("utf-8", "backslashreplace")
            fits = data[: self._left]
            self._left -= len(data)
            self._send(fits)
            if self._left < 0:
                self._send(_LAST_WORDS)
        return len(text)

    def _send(self, data: bytes) -> None:
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        try:
            while data and poll.poll(0):
                data = data[os.write(self._descriptor, data[:_PIECE]) :]
        except OSError:
            self._left = -1


def _divert(descriptor: int) -> None:
    """Make `descriptor` discard what is written to it."""
    try:
        null = os.open(os.devnull, os.O_RDWR)
    except OSError:  # a chroot without devices
        null = _abandoned_pipe()
    if null != descriptor:
        os.dup2(null, descriptor)
        os.close(null)


def _abandoned_pipe() -> int:
    reader, writer = os.pipe()
    os.close(reader)
    return writer
