"""A terminal for a process to write to, and the text that it showed."""

import fcntl
import os
import pty
import struct
import termios
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def terminal(columns: int = 100) -> Iterator[tuple[int, int]]:
    """Open a terminal of so many columns; yield our end and the process's, which the caller closes."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    try:
        yield ours, theirs
    finally:
        os.close(ours)


def shown(ours: int) -> bytes:
    """Return all that the terminal showed, once its other end is closed."""
    text = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:
            return text
        if not piece:
            return text
        text += piece


def rows(text: bytes) -> list[str]:
    """Return the lines that stand on a wide screen at the end: a carriage return goes back and writes over."""
    lines = []
    for piece in text.decode().replace("\x1b[K", "").replace("\r\n", "\n").split("\n"):
        row = ""
        for over in piece.split("\r"):
            row = over + row[len(over) :]
        lines.append(row.rstrip())
    return lines
