"""Log events of the limit: `limit_fell`, `limit_rose` and `paused`, each at most once a second.

The numbers of a line cover the time since the line of its kind before. Of a provider among several also
`provider_down` and `provider_back`, when its breaker opens and closes.
"""

import math
from typing import Final

from sidecar.core import events
from sidecar.core.errors import UpstreamError
from sidecar.engine.limiter.limit import Limit

SECONDS: Final = 1.0
"""Seconds between two lines of a kind, at least."""

CHANGE: Final = 0.1
"""Share of the limit logged last that a change must reach for a line."""


class LimitEvents:
    """Log lines about one limit, with the state at the last line of each kind."""

    def __init__(self, limit: Limit, provider: str = "") -> None:
        self._limit = limit
        self._named = {"provider": provider} if provider else {}
        self.logged: float = limit.ceiling
        """The limit in the line written last."""
        self.down = False
        """Flag: the last line about the breaker said that the provider is down."""
        self._found_at = self._paused_at = -math.inf
        self._paused_until = -math.inf
        self._refused = {"found": 0, "paused": 0}
        """Count of all refusals at the last line of each kind."""

    def log_changes(self, now: float) -> None:
        """Write lines for changes since the lines before."""
        limit = self._limit
        if self._named and self.down != (limit.breaker.opened_by is not None):
            self._log_breaker()
        if abs(limit.found - self.logged) >= CHANGE * self.logged and now - self._found_at >= SECONDS:
            self._log_limit(now)
        if limit.paused_until > max(now, self._paused_until) and now - self._paused_at >= SECONDS:
            self._log_pause(now)

    def _log_breaker(self) -> None:
        failure = self._limit.breaker.opened_by
        self.down = failure is not None
        if failure is None:
            events.info("provider_back", **self._named)
            return
        # Other sentences may quote the provider, which may quote a text.
        shown = {} if type(failure) is UpstreamError else {"reason": str(failure)}
        events.warning("provider_down", code=failure.code, **shown, **self._named)

    def _log_limit(self, now: float) -> None:
        limit = self._limit
        events.info(
            "limit_fell" if limit.found < self.logged else "limit_rose",
            limit=round(limit.found, 3),
            before=round(self.logged, 3),
            why=limit.why,
            fact=limit.fact,
            refused=self._since("found"),
            spacing=round(limit.gap, 4),
            **self._named,
        )
        self.logged, self._found_at = limit.found, now

    def _log_pause(self, now: float) -> None:
        limit = self._limit
        events.info(
            "paused",
            seconds=round(limit.paused_until - now, 3),
            limit=round(limit.found, 3),
            refused=self._since("paused"),
            **self._named,
        )
        self._paused_until, self._paused_at = limit.paused_until, now

    def _since(self, kind: str) -> int:
        before, self._refused[kind] = self._refused[kind], self._limit.refusals.count
        return self._limit.refusals.count - before
