"""Ring of samples: a bounded number of points, each a row of numbers, stored by column in 4 bytes a number."""

import math
from array import array
from collections.abc import Mapping, Sequence
from typing import Final

COLUMNS: Final = (
    *("waiting", "held", "running", "found", "ceiling"),
    *("answered", "shared", "refused", "failed", "left"),
    *("wait_p50", "wait_p95", "latency_p50", "latency_p95"),
    *("places", "bytes", "late", "pause", "breaker", "jobs", "limited"),
    *("prompt", "completion", "jobs_day", "jobs_night"),
)
"""Names of a sample's numbers; docs/dashboard.md explains them."""


class Ring:
    """The last `size` samples, the oldest of which gives way to a new one."""

    def __init__(self, size: int) -> None:
        self._at = array("d", bytes(8 * size))
        self._columns = {name: array("f", bytes(4 * size)) for name in COLUMNS}
        self._size = size
        self._next = 0
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def bytes(self) -> int:
        """Memory of the samples."""
        return sum(len(column) * column.itemsize for column in (self._at, *self._columns.values()))

    def append(self, at: float, sample: Mapping[str, float | None]) -> None:
        """Add a sample; `at` is in seconds since 1970. A name that is absent, or None, has no value."""
        place = self._next
        self._at[place] = at
        for name, column in self._columns.items():
            value = sample.get(name)
            column[place] = math.nan if value is None else value
        self._next = (place + 1) % self._size
        self._count = min(self._count + 1, self._size)

    def columns(self) -> dict[str, list[float | None]]:
        """Return the samples by column, the oldest first, with `at`; columns without any value are left out."""
        found: dict[str, list[float | None]] = {"at": [round(value, 1) for value in self._ordered(self._at)]}
        for name, column in self._columns.items():
            values = [None if math.isnan(value) else _short(value) for value in self._ordered(column)]
            if any(value is not None for value in values):
                found[name] = values
        return found

    def _ordered(self, column: "array[float]") -> Sequence[float]:
        if self._count < self._size:
            return column[: self._count]
        return column[self._next :] + column[: self._next]


def _short(value: float) -> float:
    """Return the value without the digits that four bytes do not hold; whole numbers as such."""
    rounded = round(value, 3)
    return int(rounded) if rounded == int(rounded) else rounded
