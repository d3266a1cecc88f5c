"""Signals that end no service, before its event loop has handlers for them: remembered, from the first line on.

Free of imports, since reading the settings comes first and loading asyncio takes a while.
"""

import signal
from types import FrameType
from typing import Final

HARMLESS: Final = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM)
"""Signals of log rotation, of other servers and of habit, whose default is to end the process with its requests."""

_came: Final[set[int]] = set()


def hold() -> None:
    """Remember the harmless signals from now on, until others take their handlers over.

    A handler, and not SIG_IGN, which children would inherit.
    """
    for number in HARMLESS:
        signal.signal(number, _note)


def came(number: int) -> bool:
    """Return whether the signal came since `hold`, and forget it."""
    found = number in _came
    _came.discard(number)
    return found


def _note(number: int, _: FrameType | None) -> None:
    _came.add(number)
