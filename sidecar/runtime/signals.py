"""SIGTERM and SIGINT: the first signal starts the drain, the second ends the process at once. SIGHUP: read again."""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from sidecar.core import events

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def stop_requested() -> Iterator[asyncio.Event]:
    """Give an event that the first signal sets; the handlers are removed at the end of the block."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def on_signal(number: signal.Signals) -> None:
        if stop.is_set():
            events.warning("killed", signal=number.name)
            os._exit(128 + number)
        events.info("stopping", signal=number.name)
        stop.set()

    for number in _SIGNALS:
        loop.add_signal_handler(number, on_signal, number)
    try:
        yield stop
    finally:
        for number in _SIGNALS:
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
