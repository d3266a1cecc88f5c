"""Slots that change by turns: `32:3,6:3` is 32 slots for 3 seconds, then 6 for 3 seconds, then 32 again.

A last entry without seconds lasts for ever. The clock is a parameter.
"""

import functools
import math
import re
from collections.abc import Callable
from typing import Final, NamedTuple

_ENTRY: Final = re.compile(r"(\d{1,9})(?::(\d{1,5}(?:\.\d{1,6})?))?", re.ASCII)
_MOST_ENTRIES: Final = 1000


class Turn(NamedTuple):
    """Number of slots for a length of time."""

    slots: int
    seconds: float
    """`inf` for ever."""


@functools.lru_cache(maxsize=64)
def parsed(text: str) -> tuple[Turn, ...]:
    """Return the turns that `text` lists; none for a blank text.

    Raises:
        ValueError: the text lists no turns, or a turn has no length.

    """
    entries = text.split(",", _MOST_ENTRIES) if text.strip() else []
    found = [_turn(entry) for entry in entries]
    if not all(turn.seconds for turn in found) or any(math.isinf(turn.seconds) for turn in found[:-1]):
        raise ValueError("Every turn but the last needs its SECONDS, more than 0")
    return tuple(found)


def _turn(entry: str) -> Turn:
    match = _ENTRY.fullmatch(entry.strip())
    if match is None:
        raise ValueError(f"Expected SLOTS:SECONDS, not {entry.strip()[:40]!r}")
    return Turn(int(match[1]), math.inf if match[2] is None else float(match[2]))


class Turns:
    """Clock over the listed turns. The time starts with the first `now`, and anew with `start`."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._started: float | None = None

    def start(self) -> None:
        """Begin with the first turn now."""
        self._started = self._clock()

    def now(self, text: str) -> Turn:
        """Return the slots of the present turn of `text`, and the seconds until it ends."""
        now = self._clock()
        if self._started is None:
            self._started = now
        listed = parsed(text)
        gone = now - self._started
        total = sum(turn.seconds for turn in listed)
        if not math.isinf(total):
            gone %= total
        for turn in listed:
            if gone < turn.seconds:
                return Turn(turn.slots, turn.seconds - gone)
            gone -= turn.seconds
        return listed[0]  # a rounding error beyond the last turn
