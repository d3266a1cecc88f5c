"""Futility: whether a lone caller would wait for nothing at a provider that refuses every call.

A burst is never judged by it: calls that run or wait beside a refused one find out what the provider takes.
"""

from typing import Final

from sidecar.core.reach import Reach
from sidecar.engine.limiter.gate import Gate
from sidecar.engine.limiter.pool import Pool

LONGEST_LEFT: Final = 60.0
"""Seconds left from which a caller is a line of a batch, which loses nothing by waiting."""
LONG_PAUSE: Final = 1.0
"""Seconds of pause for which a lone caller is refused at once; one who comes later in the pause probes the provider."""


def futile(pool: Pool, gate: Gate, reach: Reach, *, now: float, until: float) -> bool:
    """Return whether no provider of this reach has a hope for a call that must be sent before `until` (clock)."""
    serving = pool.serving(reach)
    others = any(one.running for one in serving) or any(pool.may_use(other, serving) for other in gate.reaches)
    if others or until - now > LONGEST_LEFT:
        return False
    return all(one.down or one.limit.waits.hopeless(until) for one in serving)
