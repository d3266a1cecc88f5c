"""Layer 7, pauses: how long nothing is sent after a refusal while nothing of ours runs; what a named wait counts for.

While something runs, its end is the better clock and no pause is made. Plain functions, the clock is handed in.
"""

import math
from typing import Final

from sidecar.core.errors import UpstreamFailure

FIRST_PAUSE: Final = 0.1
"""Seconds of silence after a refusal; twice as many after each further one."""
LONGEST_PAUSE: Final = 5.0
"""Seconds between two looks at a provider that refuses everything and names no time, at most."""
SHARE: Final = 0.25
"""Of the time since something was admitted: a pause is no longer, so that the provider's return is soon seen."""

FIRST_BELIEF: Final = 2.0
"""Seconds up to which a named wait is believed that nothing has confirmed; twice as many with each refused probe."""
SAME_END: Final = 1.1
"""Seconds by which two waits that name the same end may differ: most are rounded to whole ones."""


class NamedWaits:
    """The refusals of one silence, and what the provider's words turned out to be worth."""

    def __init__(self) -> None:
        self._pause = FIRST_PAUSE
        self._belief = FIRST_BELIEF
        self._end: float | None = None
        """When the last named wait would be over."""
        self._named_at = -math.inf
        self._refused_at = -math.inf

    def after(self, failure: UpstreamFailure, now: float, *, silence: float) -> float:
        """Seconds of pause after a refusal, `silence` seconds after the last admitted call was sent."""
        if now - silence > self._refused_at:  # something was admitted since: another silence
            self._pause, self._belief, self._end = FIRST_PAUSE, FIRST_BELIEF, None
        first, self._refused_at = self._end is None and self._pause == FIRST_PAUSE, now
        pause = self._pause
        self._pause = min(LONGEST_PAUSE, max(FIRST_PAUSE * 2, SHARE * silence), self._pause * 2)
        named = failure.retry_after
        if named is None:
            return pause
        end = now + named
        if self._end is not None:
            # A clock that counts down to one moment is true; a number that stays the same is a habit of speech.
            confirmed = abs(end - self._end) <= SAME_END and now - self._named_at > SAME_END
            self._belief = math.inf if confirmed and not failure.vague else self._belief * 2
        if self._end is None or now - self._named_at > SAME_END:
            self._end, self._named_at = end, now
        believed = min(named, self._belief)
        return believed if first else max(pause, believed)
