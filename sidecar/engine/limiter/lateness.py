"""Layer 7, lateness: what answers and deadlines say of a provider that queues instead of refusing.

A local model server takes every call and works off a few at a time, so that too many calls show as answers that come
later the more were under way before them. Plain functions without a clock.
"""

from typing import Final

LATE_SHARE: Final = 0.1
"""Of a generation's calls, those that end at their deadline before it counts as a queue at the provider's."""

PATIENT: Final = 5.0
"""Seconds a call must have had before its deadline says something; twice as many while none was measured."""

UNFAIR: Final = 1.1
"""Of the shortest answer's time: a call that had less of it when its deadline came says nothing."""

_LEAST_ANSWERS: Final = 8
"""Answers from which a mean is taken for one."""

_LEAST_LINE: Final = 3
"""Answers from which a line is taken for one."""

_MOST_PATIENCE: Final = 1024
"""Answers between two tries of a higher limit, at most."""


_MOST_ANSWERS: Final = 512
"""Answers after which the older half of what is known counts for half: a queue of today is not hidden by yesterday."""


class Lateness:
    """The calls since nothing was under way: answered or late, and how long they took beside how many others."""

    def __init__(self, shortest: float = 0.0) -> None:
        self.done = 0.0
        self.late = 0.0
        self._shortest = shortest
        self._others = self._seconds = self._squares = self._products = 0.0
        """Sums: of the others under way, the seconds, the squares of the former, the products of both."""

    def answered(self, seconds: float, others: int) -> None:
        """Count an answer that took so many seconds, sent beside so many others."""
        if self.done >= _MOST_ANSWERS:
            self._halve()
        self.done += 1
        if seconds < self._shortest or not self._shortest:
            self._shortest = seconds
        self._others += others
        self._seconds += seconds
        self._squares += others * others
        self._products += others * seconds

    def anew(self) -> "Lateness":
        """Nothing is under way any more: no queue of today's calls is left."""
        return Lateness(self._shortest)

    def _halve(self) -> None:
        self.done, self.late = self.done / 2, self.late / 2
        self._others, self._seconds = self._others / 2, self._seconds / 2
        self._squares, self._products = self._squares / 2, self._products / 2

    def fair(self, seconds: float) -> bool:
        """Whether a call that ended at its deadline after so many seconds had its time."""
        return seconds >= (max(PATIENT, UNFAIR * self._shortest) if self._shortest else 2 * PATIENT)

    def queue(self, found: float, span: float) -> tuple[float, float] | None:
        """The provider's slots and the seconds of a call that waits for none, after a late call of `span` seconds.

        None where it is a hiccup and no queue. Where a provider works off S calls of s seconds at a time and the n-th
        waits its turn, calls take s and one more s for every S that were before them: a line over n whose slope is
        s / S. Least squares find it. Few answers make no line, but if most calls were late, there was always work:
        then the answers of so long a time, at s seconds each, were made by S = answers * s / time (Little's law).
        """
        if not self.done or self.late < max(2, LATE_SHARE * (self.late + self.done)):
            return None  # without an answer it is silence, which tells nothing of room
        x, y = self._others, self._seconds
        variance = self._squares - x * x / self.done
        if self.done >= _LEAST_LINE and variance > self.done:
            slope = (self._products - x * y / self.done) / variance
            start = (y - slope * x) / self.done
            if slope > 0 and 0 < (slots := 2 * start / slope - 1) < found:
                slots = max(1.0, round(slots))
                return slots, slope * slots
        elif self.done < _LEAST_ANSWERS:
            if self.late <= self.done:
                return None
            return max(1.0, min(found, round(self.done * self._shortest / span))), self._shortest
        return max(1.0, found * 3 // 4), self._shortest


class Climb:
    """Tries higher limits at a provider that queues: one is kept where answers do not come later for it."""

    def __init__(self) -> None:
        self._count = 0
        self._seconds = 0.0
        self._patience = _LEAST_ANSWERS
        self._before: tuple[float, float] | None = None
        """While a try goes on: the limit before, and the mean seconds of an answer under it."""

    def proven(self, found: float) -> float:
        """The limit without what is being tried."""
        return found if self._before is None else min(found, self._before[0])

    def answered(self, seconds: float, found: float) -> float:
        """Count an answer under a limit that was used up; the limit from now on."""
        self._count += 1
        self._seconds += seconds
        if self._count < max(self._patience if self._before is None else _LEAST_ANSWERS, 2 * found):
            return found
        mean = self._seconds / self._count
        self._count, self._seconds = 0, 0.0
        if self._before is None:
            self._before = (found, mean)
            return max(found + 1, found * 3 // 2)
        (level, seconds_before), self._before = self._before, None
        # All of the step would show in the seconds of a queue, and nothing of it where there was room.
        if mean < seconds_before * (1 + (found / level - 1) / 2):
            self._patience = _LEAST_ANSWERS
            return found
        self._patience = min(_MOST_PATIENCE, self._patience * 2)
        return level


class Queueing:
    """What answers and deadlines taught of a provider that queues."""

    def __init__(self) -> None:
        self._lateness = Lateness()
        self._climb: Climb | None = None
        """Where deadlines had a part in the limit: how it rises again."""
        self.taught = False
        """Whether they had."""

    def idle(self) -> None:
        """Nothing is under way: no queue of today's calls is left."""
        self._lateness = self._lateness.anew()

    def fell(self) -> None:
        """The limit fell: what is known is about another one."""
        self._lateness = Lateness()
        self.refused()

    def refused(self) -> None:
        """A call was refused: a higher limit that was being tried counts for nothing."""
        if self._climb is not None:
            self._climb = Climb()

    def proven(self, found: float) -> float | None:
        """The limit without what is being tried; None where deadlines had no part in it."""
        return None if self._climb is None else self._climb.proven(found)

    def answered(self, seconds: float, others: int, found: float, ceiling: float, *, used_up: bool) -> float:
        """Count an answer; the limit from now on."""
        self._lateness.answered(seconds, others)
        if self._climb is None or not used_up:
            return found
        level = min(ceiling, self._climb.answered(seconds, found))
        if level >= ceiling:
            self._climb, self.taught = None, False
        return level

    def fair(self, seconds: float) -> bool:
        """Whether a call that ended at its deadline after so many seconds had its time."""
        return self._lateness.fair(seconds)

    def late(self, seconds: float, found: float) -> tuple[float, float] | None:
        """Count a call without an answer by its deadline; a queue's slots and the seconds of a call, if it is one."""
        self._lateness.late += 1
        queue = self._lateness.queue(found, seconds)
        if queue is not None:
            self._climb, self.taught = Climb(), True
        return queue
