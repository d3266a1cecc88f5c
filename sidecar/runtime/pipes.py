"""Reads and writes of a descriptor of any kind on the event loop: pipe, socket, regular file, device, terminal.

Each use polls the descriptor first. So the descriptor's flags stay unchanged (other processes may share them) and no
thread is needed. Only a descriptor that has to wait is registered with the loop, whose selector refuses regular files.
"""

import asyncio
import contextlib
import os
import select
import stat
from collections.abc import Callable, Iterator
from typing import Any, Final

_CHUNK: Final = 64 * 1024
"""Bytes read at once: the capacity of a pipe on Linux."""
_PIECE: Final = select.PIPE_BUF
"""Bytes that a ready pipe or socket takes without blocking, by POSIX."""


async def read_chunk(descriptor: int) -> bytes:
    """Return the next bytes, or none at the end; a descriptor that fails counts as ended."""
    loop = asyncio.get_running_loop()
    while True:
        # A regular file is always ready, so this gives other tasks their turn.
        await asyncio.sleep(0)
        try:
            if _ready(descriptor, select.POLLIN):
                return os.read(descriptor, _CHUNK)
            await _readiness(descriptor, loop.add_reader, loop.remove_reader)
        except BlockingIOError:
            continue
        except OSError:
            return b""


async def write_all(descriptor: int, data: bytes) -> None:
    """Write all of `data`, however slow the reader is; raise `OSError` if the write fails."""
    loop = asyncio.get_running_loop()
    rest = memoryview(data)
    while rest:
        if not _ready(descriptor, select.POLLOUT):
            await _readiness(descriptor, loop.add_writer, loop.remove_writer)
        try:
            rest = rest[os.write(descriptor, rest[:_PIECE]) :]
        except BlockingIOError:
            await asyncio.sleep(0)


@contextlib.contextmanager
def reader_left(descriptor: int) -> Iterator[asyncio.Event]:
    """Give an event that is set once the pipe `descriptor` has lost its last reader; never set for other kinds."""
    left = asyncio.Event()
    loop = asyncio.get_running_loop()

    def look() -> None:
        # A pipe that is open for reading and writing also triggers this when it has bytes to read.
        loop.remove_reader(descriptor)
        if _ready(descriptor, 0):
            left.set()

    watched = _is_pipe(descriptor)
    if watched:
        loop.add_reader(descriptor, look)
    try:
        yield left
    finally:
        if watched:
            loop.remove_reader(descriptor)


def _is_pipe(descriptor: int) -> bool:
    try:
        return stat.S_ISFIFO(os.fstat(descriptor).st_mode)
    except OSError:
        return False


def _ready(descriptor: int, event: int) -> bool:
    """Return True if `event`, an error or a hang-up is pending."""
    poll = select.poll()
    poll.register(descriptor, event)
    return bool(poll.poll(0))


async def _readiness(descriptor: int, add: Callable[..., Any], remove: Callable[[int], Any]) -> None:
    ready = asyncio.Event()
    add(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        remove(descriptor)
