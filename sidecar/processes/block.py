"""Block of shared memory: what each serving process holds now, and what all of them must know at once.

Each row has one writer, its process; a number is eight bytes, read and written whole. The rows of processes that are
gone are cleared by the parent, so that nothing a killed process held is held for ever.
"""

import mmap
import os
from typing import Final

HELD, BYTES, PENDING, BULK, CONNECTIONS, ACCEPTING, ALIVE, CALLS = range(8)
"""Columns of a process's row: requests, bytes of their bodies, the parts of those bytes that still arrive and that are
lists of jobs, open connections, 1 while it accepts, the second on the clock of its last sign of life, and calls in
flight on places lent to it."""
PAUSED_UNTIL, DRAIN_RATE, PROVIDER, WAITING, DURATION, LENDING = range(6)
"""Columns of the parent's row: the point on the clock before which no call is sent, requests a second, the state of the
providers, calls that wait for a slot, the seconds of a call, and 1 while places that were lent may be used."""
_COLUMNS: Final = 8
_NUMBER: Final = 8


class Block:
    """The block of `processes` rows at the descriptor `fd`, which every process maps."""

    def __init__(self, fd: int, processes: int) -> None:
        self.processes = processes
        self._mapped = mmap.mmap(fd, _size(processes))
        whole = memoryview(self._mapped)
        self.published = whole[: _COLUMNS * _NUMBER].cast("d")
        """The parent's row."""
        self.rows = [
            whole[_COLUMNS * _NUMBER * place : _COLUMNS * _NUMBER * (place + 1)].cast("q")
            for place in range(1, processes + 1)
        ]

    def total(self, column: int, *, without: int = -1) -> int:
        """Return the sum of a column over all processes, or over all but the one at the index `without`."""
        return sum(row[column] for index, row in enumerate(self.rows) if index != without)

    def clear(self, index: int) -> None:
        """Clear the row of a process that is gone."""
        for column in range(_COLUMNS):
            self.rows[index][column] = 0


def open_block(processes: int) -> int:
    """Return the descriptor of a new block, which lives as long as a process has the descriptor or a mapping of it."""
    fd = os.memfd_create("serving processes", os.MFD_CLOEXEC)
    os.ftruncate(fd, _size(processes))
    return fd


def _size(processes: int) -> int:
    return _COLUMNS * _NUMBER * (processes + 1)
