"""Bytes from and to a descriptor on the event loop, whatever it is: pipe, socket, regular file, device, terminal.

A descriptor is asked whether it is ready and only then used, so its flags stay as they are (other processes may
share it) and no thread is needed; only what has to wait meets the loop, whose selector refuses regular files.
"""

import asyncio
import contextlib
import os
import select
import stat
from collections.abc import Callable, Iterator
from typing import Any, Final

_CHUNK: Final = 64 * 1024
"""Bytes read at once; what a pipe holds."""
_PIECE: Final = select.PIPE_BUF
"""Bytes that a pipe or socket which is ready takes without blocking, by POSIX."""


async def read_chunk(descriptor: int) -> bytes:
    """The next bytes, or none at the end; a descriptor that cannot be read (any more) is at its end."""
    loop = asyncio.get_running_loop()
    while True:
        # Others get their turn, however fast a file can be read.
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
    """Write all of `data`, however slowly it is read; raises `OSError` where that is impossible."""
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
    """An event that is set once nobody can read any more what is written to `descriptor`, where it is a pipe."""
    left = asyncio.Event()
    loop = asyncio.get_running_loop()

    def look() -> None:
        # A pipe opened for both ways also calls here when there is something to read in it.
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
    """Whether `event`, an error or a hang-up is there now."""
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
