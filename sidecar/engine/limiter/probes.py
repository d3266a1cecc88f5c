"""Layer 7, probes: calls above the limit that look for more capacity, and the levels they gain.

Probes go by the clock, since a refusal takes milliseconds and an answer of a model seconds. Plain functions, the clock
is handed in.
"""

import math
from collections import deque
from typing import Final

FIRST_INTERVAL: Final = 0.1
"""Seconds after a fall until the first probe: one call more than the limit."""
CALLS_BETWEEN: Final = 7
"""Calls between two probes, at most; each refused probe doubles the time. Refusals of probes stay a small share."""
LEAST_INTERVAL_BOUND: Final = 0.5
MOST_INTERVAL_BOUND: Final = 20.0
"""Seconds that `CALLS_BETWEEN` calls are taken to last, at least and at most."""
SOONER: Final = 0.35
"""Share of that time that remains after a first admitted probe; a second one ends the wait."""
EAGER: Final = 4
"""Probes admitted in a row after which capacity has plainly come back: probes then go out together and unspaced."""
EAGER_SHARE: Final = 4
"""Calls of the limit for each probe that may be in flight then."""
PENALTY: Final = 3
"""Probes that a refusal takes off the count of probes admitted in a row: one refusal among many may be chance."""
SLOW_CALLS: Final = 3
"""Calls between two probes of a limit below one call at once, at least: a probe there is a call sent early, which is
evidence only after some calls sent in time."""

STEP: Final = 1.25
"""Factor by which a probe goes out faster than a limit below one call at once allows."""
PROVISIONAL: Final = 1.5
"""Holding times for which a gained level is provisional: a refusal meanwhile takes the level back without a fall."""
CUT: Final = 0.75
"""Share of the limit that a refusal leaves if no call was admitted since the refusal before."""
LOW_USE: Final = 0.5
"""Share of the limit in flight below which a single refusal between admitted calls may be chance."""
SOFT: Final = 0.9
"""Share of the limit that such a refusal leaves."""
SMALLEST: Final = 1 / 256
"""The smallest limit: a call in flight for one 256th of the time."""

REMEMBERED: Final = 10.0
"""Seconds for which estimates count on the highest limit found, since capacity may come back."""

LEAST_CONFIRM: Final = 0.03
"""Seconds without a refusal after which a call counts as admitted, at least."""


class RefusalTime:
    """Time that a refusal takes: a call still unrefused after that time is known to be admitted."""

    def __init__(self) -> None:
        self.seconds = 0.0
        """Seconds that a refusal takes, smoothed; 0 before the first."""
        self.confirm = LEAST_CONFIRM
        """Seconds after which an unrefused call is admitted."""
        self._deviation = 0.0

    def measured(self, seconds: float) -> None:
        """Count a refusal that took `seconds`."""
        deviation, self._deviation = self._deviation, seconds / 2
        if self.seconds:
            self._deviation = deviation + (abs(seconds - self.seconds) - deviation) / 4
        self.seconds = self.seconds + (seconds - self.seconds) / 8 if self.seconds else seconds
        self.confirm = max(LEAST_CONFIRM, 2 * self.seconds, self.seconds + 4 * self._deviation)


class Probes:
    """Schedule of probes: the next one's point on the clock, and counts of the last ones' outcomes."""

    def __init__(self) -> None:
        self.under_way = 0
        """Probes whose outcome is open."""
        self.admitted = 0
        """Probes admitted in a row; a refusal takes `PENALTY` off."""
        self.failed = 0
        """Probes refused since the last fall."""
        self.at = -math.inf
        """Point on the clock before which no probe is sent."""
        self.sent_at = -math.inf
        """Point on the clock at which the last probe was sent."""
        self._interval = FIRST_INTERVAL

    @property
    def eager(self) -> bool:
        """Return whether capacity has plainly come back."""
        return self.admitted >= EAGER

    def most_at_once(self, slots: int) -> int:
        """Return how many probes may be in flight together."""
        return min(self.admitted, max(1, slots // EAGER_SHARE)) if self.eager else 1

    def sent(self, now: float) -> None:
        """Record a probe that is sent now."""
        self.under_way += 1
        self.sent_at = now

    def over(self, now: float) -> None:
        """Record the end of a probe; unless its outcome changes the interval, the next probe waits as long."""
        self.under_way -= 1
        self.at = now + self._interval

    def rose(self, now: float, *, confirm: float, each: float, below_one: bool) -> None:
        """Record an admitted probe; `each`: seconds between two calls of the limit."""
        self.admitted += 1
        self._interval = max(confirm, SOONER * self._interval) if self.admitted < 2 else confirm
        self._after(now, self._interval if self.admitted < 2 else 0.0, each=each, below_one=below_one)

    def returned(self, now: float, *, each: float) -> None:
        """Begin anew, after the longest wait: the limit returned to a measured rate, so there is little to find."""
        self.admitted, self._interval = 0, _longest(each)
        self.at = now + self._interval

    def refused(self, now: float, *, each: float, below_one: bool) -> None:
        """Record the refusal of a probe, or of a call within a provisional level."""
        self.failed += 1
        self._interval = min(_longest(each), self._interval * 2)
        self._after(now, self._interval, each=each, below_one=below_one)

    def interrupted(self) -> None:
        """Record a refusal of any call."""
        self.admitted = max(0, self.admitted - PENALTY)

    def fell(self, now: float, *, each: float, below_one: bool) -> None:
        """Start the search anew after the limit fell."""
        self.failed = 0
        self._interval = FIRST_INTERVAL
        self._after(now, self._interval, each=each, below_one=below_one)

    def _after(self, now: float, seconds: float, *, each: float, below_one: bool) -> None:
        self.at = now + (max(seconds, SLOW_CALLS * each) if below_one else seconds)


def _longest(each: float) -> float:
    """Return the seconds between two probes, at most; `each`: seconds between two calls of the limit."""
    return min(MOST_INTERVAL_BOUND, max(LEAST_INTERVAL_BOUND, CALLS_BETWEEN * each))


class Levels:
    """The limit with and without the levels that probes gained lately."""

    def __init__(self, level: float) -> None:
        self.now = level
        self.firm = level
        """The limit without provisional levels."""
        self._gains: deque[tuple[float, float]] = deque()
        """Provisional levels, each with the point on the clock at which it becomes firm."""

    @property
    def provisional(self) -> bool:
        """Return whether a part of the limit is provisional: a refusal takes that part back without a fall."""
        return bool(self._gains)

    def low(self, running: int) -> bool:
        """Return whether so few calls run that a single refusal may be chance."""
        return max(1, running) < LOW_USE * self.now

    @property
    def softened(self) -> float:
        """Return the limit after a refusal that may be chance."""
        return max(1.0, SOFT * self.now)

    def after_fall(self, running: int, *, admitted: bool) -> float:
        """Return the limit after a refusal; `running`: other calls in flight; `admitted`: one since the last fall."""
        if running:
            still = min(self.now, running)
            return max(1.0, still if admitted else min(still, self.now * CUT))
        # Refusals at idle are the pause's matter; below one call at once a rate shows only in admitted calls.
        if self.now <= 1 and admitted:
            return max(SMALLEST, self.now * CUT)
        return max(min(1.0, self.now), self.now / 2)

    def set(self, level: float) -> None:
        """Set the limit to `level`, without provisional levels."""
        self.now = self.firm = level
        self._gains.clear()

    def gain(self, now: float, holding: float, ceiling: float, *, to: float | None = None) -> float:
        """Add a level, or all up to `to`, provisional for some calls of `holding` seconds; return the limit."""
        if to is None:
            to = self.now + 1 if self.now >= 1 else min(1.0, self.now * STEP)
        self.now = min(float(ceiling), to)
        self._gains.append((now + PROVISIONAL * holding, self.now))
        return self.now

    def settle(self, now: float) -> None:
        """Make levels firm that were provisional long enough."""
        while self._gains and self._gains[0][0] <= now:
            self.firm = self._gains.popleft()[1]


class Highest:
    """The highest limit that was a fact within the last `REMEMBERED` seconds."""

    def __init__(self) -> None:
        self._level = 0.0
        self._at = -math.inf

    def now(self, now: float, level: float) -> float:
        """Return the highest limit, where `level` is a fact now."""
        if now - self._at > REMEMBERED or level >= self._level:
            self._level, self._at = level, now
        return self._level

    def known(self, now: float, level: float, otherwise: float) -> float:
        """Return the highest limit or a higher `level`; `otherwise` where no limit was a fact recently."""
        return max(self._level, level) if now - self._at <= REMEMBERED else otherwise
