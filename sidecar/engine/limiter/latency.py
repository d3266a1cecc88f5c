"""Layer 7, latency: the limit found from answer times and deadlines, for a provider that queues instead of refusing.

A local model server takes every call and works off a few at a time: each answer comes later the more calls were in
flight before its own. Plain functions without a clock.
"""

from typing import Final

LATE_SHARE: Final = 0.1
"""Share of a generation's calls that end at their deadline, from which the provider counts as queueing."""

PATIENT: Final = 5.0
"""Seconds that a call must have had for its timeout to count; twice as many before the first answer."""

UNFAIR: Final = 1.1
"""Multiple of the shortest answer's time that a call must have had for its timeout to count."""

_LEAST_ANSWERS: Final = 8
"""Answers that make a mean, at least."""

_LEAST_LINE: Final = 3
"""Answers that make a line, at least."""

_MOST_PATIENCE: Final = 1024
"""Answers between two trials of a higher limit, at most."""

_MOST_ANSWERS: Final = 512
"""Answers after which all sums are halved, so that old answers cannot hide a queue of today."""


class LatencySamples:
    """Calls since the provider was last idle: counts of answered and late ones, and answer times by calls in flight."""

    def __init__(self, shortest: float = 0.0) -> None:
        self.done = 0.0
        self.late = 0.0
        self._shortest = shortest
        self._others = self._seconds = self._squares = self._products = 0.0
        """Sums for least squares: other calls in flight, seconds, squares of the former, products of both."""

    def answered(self, seconds: float, others: int) -> None:
        """Count an answer that took `seconds`, to a call sent while `others` were in flight."""
        if self.done >= _MOST_ANSWERS:
            self._halve()
        self.done += 1
        if seconds < self._shortest or not self._shortest:
            self._shortest = seconds
        self._others += others
        self._seconds += seconds
        self._squares += others * others
        self._products += others * seconds

    def anew(self) -> "LatencySamples":
        """Return empty samples for an idle provider, whose queue is gone; only the shortest time remains."""
        return LatencySamples(self._shortest)

    def _halve(self) -> None:
        self.done, self.late = self.done / 2, self.late / 2
        self._others, self._seconds = self._others / 2, self._seconds / 2
        self._squares, self._products = self._squares / 2, self._products / 2

    def fair(self, seconds: float) -> bool:
        """Return whether a call that timed out after `seconds` had time enough for its timeout to count."""
        return seconds >= (max(PATIENT, UNFAIR * self._shortest) if self._shortest else 2 * PATIENT)

    def queue(self, found: float, span: float) -> tuple[float, float] | None:
        """Return the provider's slots and the seconds of a call in a free slot, after a late call of `span` seconds.

        None where late calls are too few for a queue. A provider that works off S calls of s seconds at a time takes s
        for a call, and another s for every S calls before it: a line over the calls before, of slope s / S, which least
        squares find. Few answers make no line; but if most calls were late, the provider was always busy, and its
        answers within `span` give S = answers * s / span (Little's law).
        """
        if not self.done or self.late < max(2, LATE_SHARE * (self.late + self.done)):
            return None  # deadlines without any answer are the breaker's matter: they hold no measure of capacity
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


class HillClimb:
    """Hill climbing at a provider that queues: a higher limit stays where answers come no later under it."""

    def __init__(self) -> None:
        self._count = 0
        self._seconds = 0.0
        self._patience = _LEAST_ANSWERS
        self._before: tuple[float, float] | None = None
        """During a trial: the limit before, and the mean seconds of an answer under that limit."""

    def proven(self, found: float) -> float:
        """Return the limit without the trial."""
        return found if self._before is None else min(found, self._before[0])

    def answered(self, seconds: float, found: float) -> float:
        """Count an answer that came while the limit was used up; return the limit from now on."""
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
        # A queue would add the whole step to the seconds of an answer, a free slot none of it.
        if mean < seconds_before * (1 + (found / level - 1) / 2):
            self._patience = _LEAST_ANSWERS
            return found
        self._patience = min(_MOST_PATIENCE, self._patience * 2)
        return level


class LatencyLimit:
    """The limit of a provider that queues: lowered by deadlines, raised by hill climbing."""

    def __init__(self) -> None:
        self._samples = LatencySamples()
        self._climb: HillClimb | None = None
        """The way up again after deadlines lowered the limit; None where they did not."""
        self.active = False
        """Flag: deadlines lowered the limit, and hill climbing has yet to reach the ceiling."""

    def idle(self) -> None:
        """Forget the queue of a provider that has no call of this process."""
        self._samples = self._samples.anew()

    def fell(self) -> None:
        """Drop samples and trial after the limit fell: they belong to the limit before."""
        self._samples = LatencySamples()
        self.refused()

    def refused(self) -> None:
        """Drop the trial of a higher limit after a refusal."""
        if self._climb is not None:
            self._climb = HillClimb()

    def proven(self, found: float) -> float | None:
        """Return the limit without the trial; None where deadlines had no part in the limit."""
        return None if self._climb is None else self._climb.proven(found)

    def answered(self, seconds: float, others: int, found: float, ceiling: float, *, used_up: bool) -> float:
        """Count an answer; return the limit from now on."""
        self._samples.answered(seconds, others)
        if self._climb is None or not used_up:
            return found
        level = min(ceiling, self._climb.answered(seconds, found))
        if level >= ceiling:
            self._climb, self.active = None, False
        return level

    def fair(self, seconds: float) -> bool:
        """Return whether a call that timed out after `seconds` had time enough for its timeout to count."""
        return self._samples.fair(seconds)

    def late(self, seconds: float, found: float) -> tuple[float, float] | None:
        """Count a call that timed out; return slots and seconds of a call if the provider queues, else None."""
        self._samples.late += 1
        queue = self._samples.queue(found, seconds)
        if queue is not None:
            self._climb, self.active = HillClimb(), True
        return queue
