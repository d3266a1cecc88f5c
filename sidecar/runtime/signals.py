"""Signals: the first one of TERM, INT, QUIT starts the drain, the second ends the process at once. HUP: read again."""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

from sidecar.core import events
from sidecar.runtime.early_signals import HARMLESS, came

_STOP: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


@contextmanager
def stop_requested(*, service: bool = False) -> Iterator[asyncio.Event]:
    """Give an event that the first signal sets; after the block the signals of the stop end the process.

    A `service` goes on at signals that mean nothing to it, after the block too, while it writes the last numbers.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def on_signal(number: int) -> None:
        name = signal.Signals(number).name
        if stop.is_set():
            events.warning("killed", signal=name)
            os._exit(128 + number)
        events.info("stopping", signal=name)
        stop.set()

    for number in _STOP:
        loop.add_signal_handler(number, on_signal, number)
    if service:
        _ignore(*HARMLESS)
    try:
        yield stop
    finally:
        for number in _STOP:
            loop.remove_signal_handler(number)


def _ignore(*numbers: int) -> None:
    """Ignore signals until the loop is closed. Handlers, and not SIG_IGN, which children would inherit."""
    loop = asyncio.get_running_loop()
    for number in numbers:
        loop.add_signal_handler(number, partial(events.info, "signal_ignored", signal=signal.Signals(number).name))


@contextmanager
def reload_requested(*reload: Callable[[], None], hangup: asyncio.Event | None = None) -> Iterator[None]:
    """Call each function on every SIGHUP, and soon if one came before the loop ran.

    The SIGHUP that says that the terminal is gone sets `hangup` instead, unless that signal was to be ignored (nohup).
    After the block the signal is ignored: the process is about to end.
    """
    loop = asyncio.get_running_loop()
    attached = hangup is not None and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN and _has_terminal()

    def on_signal() -> None:
        if attached and hangup is not None and not _has_terminal():
            events.info("stopping", signal="SIGHUP")
            hangup.set()
            return
        for one in reload:
            one()

    loop.add_signal_handler(signal.SIGHUP, on_signal)
    if came(signal.SIGHUP):
        loop.call_soon(on_signal)
    try:
        yield
    finally:
        _ignore(signal.SIGHUP)


def _has_terminal() -> bool:
    """Return whether the process has a terminal that can hang up."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True


async def done_or_stopped(work: "asyncio.Future[Any] | None", stop: asyncio.Event) -> None:
    """Wait until `work` is done, well or badly, or `stop` is set."""
    if work is None:
        return
    stopping = asyncio.create_task(stop.wait(), name="stop before the work is done")
    await asyncio.wait((work, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
