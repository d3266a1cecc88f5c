"""The standard descriptors of a one-shot process, made safe: what stdin is, a stdout for replies alone, a short stderr.

Reading requests and writing replies is not done here.

Why so strict: PHP reads stderr only after stdout has ended, so a full pipe there hangs it for good, with the user's
session lock held (CONTRACT, "Who calls").
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
"""The most that a one-shot process says on stderr."""
_LAST_WORDS: Final = b"\n(this was too long: nothing more is said here)\n"
_PIECE: Final = select.PIPE_BUF
"""Bytes that a pipe which is ready takes without blocking, by POSIX."""


def has_piped_data(descriptor: int = 0) -> bool:
    """Whether `descriptor` is a pipe, a socket or a regular file, as against a terminal, /dev/null or nothing."""
    try:
        mode = os.fstat(descriptor).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or stat.S_ISREG(mode)


def fill_missing() -> None:
    """Put something at descriptors 0 to 2 where nothing is, lest a socket gets such a number and a print its bytes."""
    for wanted in range(3):
        try:
            os.fstat(wanted)
        except OSError as exc:
            if exc.errno != errno.EBADF:
                raise
            _divert(wanted)


def protect_stdout() -> int:
    """A private descriptor for replies; what else is written to descriptor 1, in whatever language, goes nowhere.

    It goes nowhere rather than to stderr, where nothing could keep it under `STDERR_BYTES`. What Python printed
    before and has not flushed goes nowhere too. Where stdout was closed from the start, the descriptor is that
    of a pipe whose reader has left.
    """
    fill_missing()
    wire = os.dup(1) if sys.__stdout__ is not None else _abandoned_pipe()
    _divert(1)
    return wire


def bound_stderr(limit: int = STDERR_BYTES) -> Callable[[], None]:
    """Let at most `limit` bytes out on stderr from now on, whatever happens; gives what undoes it.

    `sys.stderr` writes to a private descriptor and counts; descriptor 2 itself leads nowhere, since words of a
    library in C cannot be counted. Tracebacks, warnings and logs that are set up later go through `sys.stderr`.
    """
    if isinstance(sys.stderr, LimitedStream):
        return lambda: None
    fill_missing()
    kept = (sys.stderr, sys.__stderr__)
    private = os.dup(2)
    _divert(2)
    # The interpreter falls back on the second one while it ends.
    sys.stderr = sys.__stderr__ = cast("TextIO", LimitedStream(private, limit))  # type: ignore[misc,assignment]

    def undo() -> None:
        os.dup2(private, 2)
        os.close(private)
        sys.stderr, sys.__stderr__ = kept  # type: ignore[misc]

    return undo


class LimitedStream(io.TextIOBase):
    """A text stream that lets `limit` bytes out, the last of them saying that it is full, and never waits.

    What a full or closed descriptor does not take is lost: a word on stderr is worth less than a reply.
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
    """Make `descriptor` lead nowhere."""
    try:
        nowhere = os.open(os.devnull, os.O_RDWR)
    except OSError:  # a chroot without devices
        nowhere = _abandoned_pipe()
    if nowhere != descriptor:
        os.dup2(nowhere, descriptor)
        os.close(nowhere)


def _abandoned_pipe() -> int:
    reader, writer = os.pipe()
    os.close(reader)
    return writer
