"""Layer 7, rechecks: whether refusals come by chance, found by sending calls again at once.

A provider in trouble refuses (503, 529) some of all calls, however few run. One that is full refuses the next call too,
unless a call ended or a bucket was refilled in between. So where the limit falls again and again, a test follows: a few
calls go out at once, one after another. Each one admitted beside as many others as before says that the limit was not
the cause. A sequential probability ratio test weighs them. Plain functions, the clock is handed in.
"""

import math
from collections import deque
from typing import Final

from sidecar.engine.limiter.grant import Grant

FALLS: Final = 4
AMONG: Final = 12
"""So many falls among so many calls in a row begin a test: a limit that was found makes the limit fall seldom."""
EVERY: Final = 8
"""Such falls from one test to the next, at most; each test that finds no chance doubles the number."""
SHARE: Final = 0.5
"""Share of calls that the provider refuses, if it refuses by chance, for the test's odds."""
SLIP: Final = 0.05
"""Probability that a full provider admits a call sent again: other clients' calls end too."""
UNSURE: Final = 0.35
"""The same with the calls of ours that end meanwhile, from which a test would tell too little to begin it."""
RATE: Final = 25.0
"""Calls a second that a full provider admits, where none was answered yet."""
BELIEVED: Final = 2.5
MOST: Final = 5.0
UPHELD: Final = -1.0
"""Logarithms of the odds for chance: from which it is believed, at most, and at which the limit is the cause."""
CALLS: Final = 6
"""Calls of one test, at most."""
TRIES: Final = 5
"""Calls refused in a row that make the limit fall where refusals are known to come by chance."""
DOUBT: Final = 1.0
"""Amount by which such a fall lowers the logarithm of the odds."""
STALE: Final = 0.1
"""Seconds since the last refusal or admission of a test after which no call is sent for its sake."""
ABANDONED: Final = 1.0
"""Seconds after that from which a test is over."""


class Rechecks:
    """The test under way, and what the ones before it found."""

    def __init__(self) -> None:
        self.believed = False
        """Flag: refusals are known to come by chance."""
        self._odds = 0.0
        """Logarithm of the odds that refusals come by chance."""
        self._disputed = 0.0
        """The highest limit before a fall that no test upheld."""
        self._open = False
        self._under_way: Grant | None = None
        self._others = 0
        """Admitted calls beside which the call was refused."""
        self._rate = RATE
        self._sent_at = self._until = -math.inf
        """Points on the clock at which the last call was sent, and from which the test is stale."""
        self._left = 0
        """Calls that the test may still send."""
        self._falls: deque[int] = deque(maxlen=FALLS)
        """Numbers of the calls whose refusal lowered the limit last."""
        self._counted = 0
        self._every = 1

    def unsteady(self, sent: int) -> bool:
        """Return whether the limit fell again and again lately, so that it is no fact; `sent`: number of calls sent."""
        return self.believed or (len(self._falls) == FALLS and sent - self._falls[0] < 2 * AMONG)

    def due(self, now: float) -> bool:
        """Return whether a call is to be sent now to find out."""
        return self._open and self._under_way is None and now <= self._until

    def fell(self, grant: Grant, now: float, *, before: float, others: int, rate: float) -> None:
        """Record a refusal that lowers the limit or would, and begin a test if falls come thick.

        `before`: the limit; `others`: admitted calls beside which the call was sent; `rate`: calls admitted a second.
        """
        self._disputed = max(self._disputed, before)
        self._falls.append(grant.number)
        if self._open and now <= self._until + ABANDONED:
            self._until = now + STALE
            return
        if not self.believed:
            if len(self._falls) < FALLS or grant.number - self._falls[0] >= AMONG:
                return
            if SLIP + rate * (now - grant.at) > UNSURE:
                return
            self._counted += 1
            if self._counted < self._every:
                return
            self._counted, self._odds = 0, 0.0
        self._open, self._under_way = True, None
        self._left = TRIES if self.believed else CALLS
        self._others, self._rate, self._sent_at, self._until = others, rate, grant.at, now + STALE

    def sent(self, grant: Grant) -> None:
        """Record the call that is sent to find out."""
        grant.recheck = True
        self._under_way = grant

    def over(self, grant: Grant) -> None:
        """Record that the call's outcome is known or will never be."""
        grant.recheck = False
        if self._under_way is grant:
            self._under_way = None

    def admitted(self, grant: Grant, now: float, others: int) -> float | None:
        """Record that the call was admitted beside `others`; return the limit to return to, None for no change."""
        self.over(grant)
        self._until = now + STALE
        if others < self._others:
            return None
        self._left -= 1
        self._odds = min(MOST, self._odds + math.log(SHARE / self._probability(grant)))
        self._sent_at = now
        if self.believed:
            self._open = False
        elif self._odds >= BELIEVED:
            self.believed, self._every, self._open = True, 1, False
            return self._disputed
        elif self._left <= 0:
            self._open = False
        return None

    def refused(self, grant: Grant, now: float) -> bool:
        """Record that the call was refused as well; return whether the limit falls."""
        self.over(grant)
        self._left -= 1
        if self.believed:
            falls = self._left <= 0
            if falls:
                self._open, self._disputed = False, 0.0
                self._odds -= DOUBT
                self.believed = self._odds >= BELIEVED
        else:
            falls = False
            self._odds += math.log(SHARE / (1 - self._probability(grant)))
            if self._left <= 0 or self._odds <= UPHELD:
                self._open, self._every = False, min(EVERY, 2 * self._every)
        self._sent_at, self._until = grant.at, now + STALE
        return falls

    def _probability(self, grant: Grant) -> float:
        """Return the probability that a full provider would admit the call."""
        return min(SHARE, SLIP + self._rate * max(0.0, grant.at - self._sent_at))
