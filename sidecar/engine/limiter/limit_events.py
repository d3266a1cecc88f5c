"""What the limit found, told to the log: `limit_fell`, `limit_rose` and `paused`, each at most once a second.

Between two lines much may happen; each line has the numbers from the one before.
"""

import math
from typing import Final

from sidecar.core import events
from sidecar.engine.limiter.limit import Limit

SECONDS: Final = 1.0
"""Between two lines of a kind, at least."""

CHANGE: Final = 0.1
"""Of the limit told last: less of a change is not worth a line."""


class LimitEvents:
    """What was told, and when."""

    def __init__(self, limit: Limit) -> None:
        self._limit = limit
        self.told: float = limit.ceiling
        """The limit that was told last."""
        self._found_at = self._paused_at = -math.inf
        self._paused_until = -math.inf
        self._refused = {"found": 0, "paused": 0}
        """Refusals in all when the last line of a kind was written."""

    def tell(self, now: float) -> None:
        """Write what changed since the lines before."""
        limit = self._limit
        if abs(limit.found - self.told) >= CHANGE * self.told and now - self._found_at >= SECONDS:
            self._tell_found(now)
        if limit.paused_until > max(now, self._paused_until) and now - self._paused_at >= SECONDS:
            self._tell_paused(now)

    def _tell_found(self, now: float) -> None:
        limit = self._limit
        events.info(
            "limit_fell" if limit.found < self.told else "limit_rose",
            limit=round(limit.found, 3),
            before=round(self.told, 3),
            why=limit.why,
            fact=limit.fact,
            refused=self._since("found"),
            spacing=round(limit.gap, 4),
        )
        self.told, self._found_at = limit.found, now

    def _tell_paused(self, now: float) -> None:
        limit = self._limit
        events.info(
            "paused",
            seconds=round(limit.paused_until - now, 3),
            limit=round(limit.found, 3),
            refused=self._since("paused"),
        )
        self._paused_until, self._paused_at = limit.paused_until, now

    def _since(self, kind: str) -> int:
        before, self._refused[kind] = self._refused[kind], self._limit.refusals.count
        return self._limit.refusals.count - before
