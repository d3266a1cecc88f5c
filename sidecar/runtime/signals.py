"""Signals: the first one of TERM, INT, QUIT starts the drain, the second ends the process at once. HUP: read again."""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from sidecar.core import events

_STOP: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
_IGNORED: Final = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM)
"""Signals of log rotation, of other servers and of habit, whose default is to end the process with its requests."""


@contextmanager
def stop_requested(*, service: bool = False) -> Iterator[asyncio.Event]:
    """Give an event that the first signal sets; the handlers are removed at the end of the block.

    A `service` goes on at signals that mean nothing to it. Handlers, and not SIG_IGN, which children would inherit.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def on_signal(number: signal.Signals) -> None:
        if stop.is_set():
            events.warning("killed", signal=number.name)
            os._exit(128 + number)
        events.info("stopping", signal=number.name)
        stop.set()

    def on_other(number: signal.Signals) -> None:
        events.info("signal_ignored", signal=number.name)

    ignored = _IGNORED if service else ()
    for number in _STOP:
        loop.add_signal_handler(number, on_signal, number)
    for number in ignored:
        loop.add_signal_handler(number, on_other, number)
    try:
        yield stop
    finally:
        for number in (*_STOP, *ignored):
            loop.remove_signal_handler(number)


@contextmanager
def reload_requested(*reload: Callable[[], None]) -> Iterator[None]:
    """Call each function on every SIGHUP; the handler is removed at the end of the block."""
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        for one in reload:
            one()

    loop.add_signal_handler(signal.SIGHUP, on_signal)
    try:
        yield
    finally:
        # From here on the process is about to end anyway: a late signal must not end it before its drain does.
        loop.remove_signal_handler(signal.SIGHUP)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)


async def done_or_stopped(work: "asyncio.Future[Any] | None", stop: asyncio.Event) -> None:
    """Wait until `work` is done, well or badly, or `stop` is set."""
    if work is None:
        return
    stopping = asyncio.create_task(stop.wait(), name="stop before the work is done")
    await asyncio.wait((work, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
