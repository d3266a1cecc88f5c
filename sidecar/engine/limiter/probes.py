"""Layer 7, probes: calls above the limit that find out whether there is more room, and the levels they gain.

Probes go by the clock, since a refusal takes milliseconds and an answer of a model seconds. Plain functions, the clock
is handed in.
"""

import math
from collections import deque
from typing import Final

FIRST: Final = 0.1
"""Seconds after a fall until one call more than the limit is sent."""
CALLS: Final = 7
"""Calls between two such probes, at most; a refused one doubles the time. So their refusals stay a small share."""
SHORTEST_LONG: Final = 0.5
LONGEST_LONG: Final = 20.0
"""Seconds that these calls are taken to last, at least and at most."""
SOONER: Final = 0.35
"""What a probe leaves of that time that is the first to be admitted; after a second one there is no wait any more."""
EAGER: Final = 4
"""Probes admitted in a row after which capacity has plainly come back: probes are neither spaced nor alone then."""
REACH: Final = 4
"""One of so many calls of the limit may be a probe then."""
PENALTY: Final = 3
"""Of the probes admitted in a row, those that a refusal takes away: one of many may be chance."""
SLOW_CALLS: Final = 3
"""Calls between two probes of a limit below one call at once, at least: a probe is a call sent early there, which says
something only once some were sent in time."""

STEP: Final = 1.25
"""How much faster a probe is than a limit below one call at once."""
PROVISIONAL: Final = 1.5
"""Calls' lengths for which a gained level is provisional: a refusal meanwhile takes it back and is no fall."""
CUT: Final = 0.75
"""What a refusal leaves of the limit where nothing was admitted since the one before."""
LOW: Final = 0.5
"""Of the limit: while less than that runs, a single refusal between admitted calls may be chance."""
SOFT: Final = 0.9
"""What such a refusal leaves of the limit."""
SMALLEST: Final = 1 / 256
"""The least limit: a call in flight for one 256th of the time."""

REMEMBERED: Final = 10.0
"""Seconds for which the highest limit found counts for estimates, since capacity may come back."""

LEAST_CONFIRM: Final = 0.03
"""Seconds without a refusal after which a call counts as admitted, at least."""


class RefusalTime:
    """How long a refusal takes, so that a call which was not refused by then is known to be admitted."""

    def __init__(self) -> None:
        self.seconds = 0.0
        """Smoothed; 0 before the first."""
        self.confirm = LEAST_CONFIRM
        """Seconds after which a call that was not refused is admitted."""
        self._stray = 0.0

    def measured(self, seconds: float) -> None:
        """A refusal took so many seconds."""
        stray, self._stray = self._stray, seconds / 2
        if self.seconds:
            self._stray = stray + (abs(seconds - self.seconds) - stray) / 4
        self.seconds = self.seconds + (seconds - self.seconds) / 8 if self.seconds else seconds
        self.confirm = max(LEAST_CONFIRM, 2 * self.seconds, self.seconds + 4 * self._stray)


class Probes:
    """When the next probe is due, and how the last ones went."""

    def __init__(self) -> None:
        self.under_way = 0
        """Probes of which nothing is known yet."""
        self.admitted = 0
        """Probes admitted in a row, nearly."""
        self.failed = 0
        """Probes refused since the last fall."""
        self.at = -math.inf
        """The next one is not sent before."""
        self.sent_at = -math.inf
        """When the last one was sent."""
        self._interval = FIRST

    @property
    def eager(self) -> bool:
        """Whether capacity has plainly come back."""
        return self.admitted >= EAGER

    def reach(self, slots: int) -> int:
        """Probes that may be under way together."""
        return min(self.admitted, max(1, slots // REACH)) if self.eager else 1

    def sent(self, now: float) -> None:
        """A probe goes out."""
        self.under_way += 1
        self.sent_at = now

    def over(self, now: float) -> None:
        """A probe is over. If it shows nothing more, the next one waits as long as this one did."""
        self.under_way -= 1
        self.at = now + self._interval

    def rose(self, now: float, *, confirm: float, each: float, below_one: bool) -> None:
        """A probe was admitted; a call is sent every `each` seconds."""
        self.admitted += 1
        self._interval = max(confirm, SOONER * self._interval) if self.admitted < 2 else confirm
        self._after(now, self._interval if self.admitted < 2 else 0.0, each=each, below_one=below_one)

    def refused(self, now: float, *, each: float, below_one: bool) -> None:
        """A probe, or a call within a provisional level, was refused."""
        self.failed += 1
        longest = min(LONGEST_LONG, max(SHORTEST_LONG, CALLS * each))
        self._interval = min(longest, self._interval * 2)
        self._after(now, self._interval, each=each, below_one=below_one)

    def interrupted(self) -> None:
        """A call was refused."""
        self.admitted = max(0, self.admitted - PENALTY)

    def fell(self, now: float, *, each: float, below_one: bool) -> None:
        """The limit fell: it is all to be found anew."""
        self.failed = 0
        self._interval = FIRST
        self._after(now, self._interval, each=each, below_one=below_one)

    def _after(self, now: float, seconds: float, *, each: float, below_one: bool) -> None:
        self.at = now + (max(seconds, SLOW_CALLS * each) if below_one else seconds)


class Levels:
    """The limit with what probes gained lately, and without it."""

    def __init__(self, level: float) -> None:
        self.now = level
        self.firm = level
        """The limit without what is provisional."""
        self._gains: deque[tuple[float, float]] = deque()
        """Provisional levels and when each becomes firm."""

    @property
    def provisional(self) -> bool:
        """Whether a part of the limit is on trial: a refusal meanwhile takes it back and is no fall."""
        return bool(self._gains)

    def low(self, running: int) -> bool:
        """Whether so few calls run that a single refusal may be chance."""
        return max(1, running) < LOW * self.now

    @property
    def softened(self) -> float:
        """The limit after a refusal that may be chance."""
        return max(1.0, SOFT * self.now)

    def after_fall(self, running: int, *, admitted: bool) -> float:
        """The limit after a refusal while so many others run; whether a call was `admitted` since the fall before."""
        if running:
            still = min(self.now, running)
            return max(1.0, still if admitted else min(still, self.now * CUT))
        # A silence is the pause's business; below one call at once only what was admitted between tells of a rate.
        if self.now <= 1 and admitted:
            return max(SMALLEST, self.now * CUT)
        return max(min(1.0, self.now), self.now / 2)

    def set(self, level: float) -> None:
        """From now on it is this one, for certain."""
        self.now = self.firm = level
        self._gains.clear()

    def gain(self, now: float, holding: float, ceiling: float) -> float:
        """One level more, on trial for some calls of `holding` seconds; the level."""
        self.now = min(float(ceiling), self.now + 1 if self.now >= 1 else min(1.0, self.now * STEP))
        self._gains.append((now + PROVISIONAL * holding, self.now))
        return self.now

    def settle(self, now: float) -> None:
        """What was on trial long enough is firm."""
        while self._gains and self._gains[0][0] <= now:
            self.firm = self._gains.popleft()[1]


class Highest:
    """The highest limit of late that was a fact."""

    def __init__(self) -> None:
        self._level = 0.0
        self._at = -math.inf

    def now(self, now: float, level: float) -> float:
        """It, where `level` is a fact now."""
        if now - self._at > REMEMBERED or level >= self._level:
            self._level, self._at = level, now
        return self._level

    def known(self, now: float, level: float, otherwise: float) -> float:
        """It, or `level` where that is higher; `otherwise` where none was a fact of late."""
        return max(self._level, level) if now - self._at <= REMEMBERED else otherwise
