"""Samples of a process under load, and the bounds within which they are flat. Plain functions over numbers."""

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

Numbers = Mapping[str, float]


class Bound(NamedTuple):
    """Growth that a number may have from the first to the last quarter: a share of it, and so much more."""

    share: float
    more: float


BOUNDS: Final = {
    # The allocator returns memory late, and a burst that is the highest so far leaves its mark.
    "memory MiB": Bound(0.05, 4),
    # Connections of callers and to providers move with the load.
    "descriptors": Bound(0.25, 20),
    "tasks": Bound(0.25, 40),
    "threads": Bound(0, 2),
    # A code that comes for the first time begins a series.
    "series": Bound(0.02, 15),
    "objects": Bound(0.05, 10_000),
}
"""Bounds of the server and of its worker; a worker has no series here."""
REST: Final = {"descriptors": 6.0, "tasks": 6.0, "threads": 2.0}
"""What may be left when all callers have gone, beyond what was there before they came."""


class Sample(NamedTuple):
    """Numbers of one process at one moment."""

    at: float
    """Seconds since the start of the load."""
    numbers: Numbers


class Trend(NamedTuple):
    """One number's first and last quarter (medians), and its slope an hour over the second half."""

    name: str
    first: float
    last: float
    slope: float
    most: float

    @property
    def bound(self) -> float:
        return self.first * (1 + BOUNDS[self.name].share) + BOUNDS[self.name].more

    @property
    def flat(self) -> bool:
        return self.last <= self.bound


def trends(samples: Sequence[Sample]) -> list[Trend]:
    """Return the trend of each number; the samples are in order and at least four."""
    quarter = max(1, len(samples) // 4)
    found = []
    for name in BOUNDS:
        points = [(sample.at, sample.numbers[name]) for sample in samples if name in sample.numbers]
        if len(points) < 4:
            continue
        values = [value for _, value in points]
        first, last = statistics.median(values[:quarter]), statistics.median(values[-quarter:])
        found.append(Trend(name, first, last, slope(points[len(points) // 2 :]), max(values)))
    return found


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Return the growth an hour of the line through the points."""
    if len({at for at, _ in points}) < 2:
        return 0.0
    return statistics.linear_regression([at for at, _ in points], [value for _, value in points]).slope * 3600


class Report:
    """Result of a soak."""

    def __init__(self) -> None:
        self.samples: dict[str, list[Sample]] = {}
        """By process: server, worker, valkey."""
        self.outcomes: Counter[tuple[str, str]] = Counter()
        """By kind of caller and what it got."""
        self.broken: Counter[str] = Counter()
        """Each law that did not hold, in words, and how often."""
        self.tasks: dict[str, dict[str, int]] = {}
        """Tasks at the end, by process and coroutine."""
        self.left_over: list[str] = []
        """In words: what is left when all callers have gone."""

    @property
    def growing(self) -> list[str]:
        """Return in words what was not flat during the load."""
        return [
            f"{process}: {trend.name} from {trend.first:.0f} to {trend.last:.0f}, bound {trend.bound:.0f}"
            for process, samples in self.samples.items()
            for trend in trends(samples)
            if not trend.flat
        ]


def left_over(before: Mapping[str, Numbers], after: Mapping[str, Numbers], *, slack: float) -> list[str]:
    """Return in words what is left at rest beyond what was there before, `REST` and `slack`."""
    found = [f"{process}: gone" for process in before if process not in after]
    for process in before.keys() & after.keys():
        old, new = before[process], after[process]
        found += [
            f"{process}: {name} at rest {old[name]:.0f} before, {new[name]:.0f} after"
            for name in REST.keys() & old.keys() & new.keys()
            if new[name] > old[name] + REST[name] + slack
        ]
    return found
