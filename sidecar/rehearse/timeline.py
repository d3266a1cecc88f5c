"""Clicks over time, in columns of equal length, for the charts. Pure."""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from sidecar.rehearse.replies import Click, Kind

ENDINGS: Final[tuple[Kind, ...]] = ("answered", "refused", "late", "error")
NAMES: Final[dict[Kind, str]] = {
    "answered": "answered",
    "refused": "refused",
    "late": "too late",
    "error": "errors",
    "unfinished": "unfinished",
}
"""Words for people."""


class Timeline(NamedTuple):
    """Counts by column."""

    seconds: float
    """Length of all columns together."""
    waiting: list[int]
    """Most clicks that waited at the same time."""
    arrived: list[int]
    ended: dict[Kind, list[int]]

    @property
    def columns(self) -> int:
        return len(self.waiting)


def timeline(clicks: Sequence[Click], seconds: float, columns: int) -> Timeline:
    """Return the counts of `clicks` in `columns` columns that cover `seconds`."""
    seconds = max(seconds, 0.001)

    def column(at: float) -> int:
        return min(columns - 1, max(0, int(at / seconds * columns)))

    arrived = [0] * columns
    ended: dict[Kind, list[int]] = {kind: [0] * columns for kind in ENDINGS}
    for click in clicks:
        arrived[column(click.start)] += 1
        if click.kind in ended:
            ended[click.kind][column(click.end)] += 1
    return Timeline(seconds, _waiting(clicks, column, columns), arrived, ended)


def _waiting(clicks: Sequence[Click], column: Callable[[float], int], columns: int) -> list[int]:
    steps = sorted([(click.start, 1) for click in clicks] + [(click.end, -1) for click in clicks])
    most, now, place = [0] * columns, 0, 0
    for at, step in steps:
        while place < column(at):
            place += 1
            most[place] = now
        now += step
        most[place] = max(most[place], now)
    return most
