"""One-shot process from its start to its exit code: descriptors, a place within the process limit, then the work.

The work is passed in, since its imports are heavy: a process that waits for a place, or replies that none came free,
has loaded neither an event loop nor the engine.
"""

import os
import select
from collections.abc import Callable
from typing import Final

from sidecar.config.settings import Settings
from sidecar.core.contract import encode_reply, failed
from sidecar.core.errors import Overloaded, TooLarge
from sidecar.core.program import INTERRUPTED
from sidecar.runtime.lines import LineSplitter
from sidecar.stdio.descriptors import bound_stderr, protect_stdout
from sidecar.stdio.process_limit import hold_place

Work = Callable[[int, float], int]
"""Function that answers the lines on stdin, given the descriptor for replies and the seconds waited for a place.
Returns the exit code."""

_SHARE: Final = 0.5
"""The share of REQUEST_TIMEOUT that a process may wait for a place; the rest is for the answer."""


def stdio_process(settings: Settings, work: Work) -> int:
    """Run `work` within the process limit, else answer every line with `overloaded`; return the exit code."""
    bound_stderr()
    sink = protect_stdout()
    try:
        place = hold_place(settings.stdio_max_processes, settings.request_timeout * _SHARE)
        if place is None:
            refuse(0, sink, settings.max_body_bytes)
            return 0
        # The place is held until the process is gone, since the interpreter's shutdown costs processor time too.
        return work(sink, place.waited)
    except KeyboardInterrupt:
        return INTERRUPTED


def refuse(source: int, sink: int, longest: int) -> None:
    """Answer each line of the descriptor `source` with `overloaded` on `sink`, until one of the two ends."""
    reply = encode_reply(failed(Overloaded())) + b"\n"
    splitter = LineSplitter(longest)
    try:
        while chunk := _read(source):
            splitter.feed(chunk)
            _write(sink, reply * _count(splitter))
        splitter.end()
        _write(sink, reply * _count(splitter))
    except OSError:
        return  # the reader of the replies has left


def _count(splitter: LineSplitter) -> int:
    count = 0
    while True:
        try:
            if splitter.take() is None:
                return count
        except TooLarge:
            pass
        count += 1


def _read(source: int) -> bytes:
    _until_ready(source, select.POLLIN)
    return os.read(source, 64 * 1024)


def _write(sink: int, data: bytes) -> None:
    while data:
        _until_ready(sink, select.POLLOUT)
        data = data[os.write(sink, data[: select.PIPE_BUF]) :]


def _until_ready(descriptor: int, event: int) -> None:
    poll = select.poll()
    poll.register(descriptor, event)
    poll.poll()
