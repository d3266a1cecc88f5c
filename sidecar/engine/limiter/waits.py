"""Estimate of the wait for a slot, from the queue and the limits of the providers that the call may go to."""

from sidecar.core.reach import EVERY, Reach
from sidecar.engine.limiter.gate import Gate
from sidecar.engine.limiter.pool import Pool


def expected_wait(
    pool: Pool, gate: Gate, user: str, reach: Reach = EVERY["interactive"], *, background: bool = False
) -> float:
    """Return the estimated seconds until a new call of `user` gets its slot; 0 before anything was measured."""
    limit = pool.limit_of(reach)
    least = max(limit.pause, limit.spaced if limit.found < 1 else 0.0)
    if gate.has_room(reach):
        return least
    if pool.only is not None:
        ahead = gate.ahead(user, reach, background=background, weight=lambda _: 1.0)
        return least + (ahead + 1) * limit.holding / limit.expected
    ahead = gate.ahead(user, reach, background=background, weight=lambda other: pool.share(other, reach))
    wait = (ahead + 1) * limit.holding / limit.expected
    return least + min(wait, _wait_at_own(pool, gate, user, reach, background=background))


def _wait_at_own(pool: Pool, gate: Gate, user: str, reach: Reach, *, background: bool) -> float:
    """Return the wait for the providers that no waiting call of another reach wants; endless where there are none.

    Calls that wait for a crowded provider then count for nothing, however many they are.
    """
    wanted = {one for other in gate.reaches if other != reach for one in pool.serving(other)}
    serving = pool.serving(reach)
    own = tuple(one for one in serving if one not in wanted and not one.down)
    if not own or len(own) == len(serving):
        return float("inf")
    ahead = gate.ahead(user, reach, background=background, weight=lambda other: float(other == reach))
    holding = max(one.limit.holding for one in own)
    return (ahead + 1) * holding / sum(one.limit.expected for one in own)
