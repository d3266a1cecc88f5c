"""Layer 7, pauses: seconds without calls after a refusal that came while no call of ours was in flight.

While a call runs, its end is the better clock and a pause is unneeded. Plain functions, the clock is handed in.
"""

import math
from typing import Final

from sidecar.core.errors import UpstreamFailure

FIRST_PAUSE: Final = 0.1
"""Seconds of pause after a first refusal; twice as many after each further one."""
LONGEST_PAUSE: Final = 5.0
"""Seconds between two calls to a provider that refuses every call without naming a wait, at most."""
SHARE: Final = 0.25
"""Share of the time since the last admitted call that bounds a pause, so that the provider's return is soon seen."""

FIRST_BELIEF: Final = 2.0
"""Seconds up to which an unconfirmed named wait is believed; twice as many after each refused probe."""
SAME_END: Final = 1.1
"""Seconds by which two waits that name the same end may differ: most providers round to whole seconds."""

CONFIRMED: Final = 1.0
"""Seconds of nothing but refusals after which a named end is believed to be no slip of one answer."""
A_MINUTE: Final = 60.0
"""Seconds of nothing but refusals after which the next one is thought to be like them: a limit a minute is back by
then. A row of refusals ends where none came for as long."""


class NamedWaits:
    """Refusals since the last admitted call, and how far the waits that the provider names are believed."""

    def __init__(self) -> None:
        self._pause = FIRST_PAUSE
        self._belief = FIRST_BELIEF
        self._end: float | None = None
        """Point on the clock at which the last named wait ends."""
        self._named_at = -math.inf
        self._refused_at = -math.inf
        self._row_since = math.inf
        """Point on the clock of the first refusal of the row."""
        self._row_end = -math.inf
        """Point on the clock at which the wait ends that the last refusal named, plainly and not vaguely."""

    def hopeless(self, until: float) -> bool:
        """Return whether a call that must be sent before `until` (clock) would most likely be refused as well."""
        row = self._refused_at - self._row_since
        return row >= A_MINUTE or (row >= CONFIRMED and self._row_end > until)

    def answered(self) -> None:
        """Begin a new row of refusals with the next one."""
        self._row_since = math.inf

    def after(self, failure: UpstreamFailure, now: float, *, silence: float, sent: float = math.inf) -> float:
        """Return the seconds of pause after a refusal, `silence` seconds after the last admitted call was sent.

        `sent`: point on the clock at which the refused call was sent.
        """
        admitted = now - silence > self._refused_at
        if admitted:
            self._pause, self._belief, self._end = FIRST_PAUSE, FIRST_BELIEF, None
        # A refusal that comes late looks like an admission of the refused call itself, and is none.
        if (admitted and now - silence < sent) or now - self._refused_at > A_MINUTE:
            self._row_since = math.inf
        self._row_since = min(self._row_since, now)
        self._row_end = now + failure.retry_after if failure.retry_after and not failure.vague else -math.inf
        first, self._refused_at = self._end is None and self._pause == FIRST_PAUSE, now
        pause = self._pause
        self._pause = min(LONGEST_PAUSE, max(FIRST_PAUSE * 2, SHARE * silence), self._pause * 2)
        named = failure.retry_after
        if named is None:
            return pause
        end = now + named
        if self._end is not None:
            # Waits that count down to one moment come from a clock; a number that stays the same is a constant.
            confirmed = abs(end - self._end) <= SAME_END and now - self._named_at > SAME_END
            self._belief = math.inf if confirmed and not failure.vague else self._belief * 2
        if self._end is None or now - self._named_at > SAME_END:
            self._end, self._named_at = end, now
        believed = min(named, self._belief)
        return believed if first else max(pause, believed)
