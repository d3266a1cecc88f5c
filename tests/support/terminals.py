"""A terminal for a process to write to, and what it showed."""

import fcntl
import os
import pty
import struct
import termios
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def terminal() -> Iterator[tuple[int, int]]:
    """One of 100 columns: our end and the process's, which the caller closes."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    try:
        yield ours, theirs
    finally:
        os.close(ours)


def shown(ours: int) -> bytes:
    """All that the terminal showed, once nobody can write to it any more."""
    text = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:
            return text
        if not piece:
            return text
        text += piece
