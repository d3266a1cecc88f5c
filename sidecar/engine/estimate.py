"""Layer 2, the estimate: a request that cannot be served in time is refused at once instead of at its deadline."""

from sidecar.core.errors import DeadlineExceeded, Overloaded, RateLimited
from sidecar.engine.limiter.calls import Calls
from sidecar.engine.limiter.futility import LONG_PAUSE, futile
from sidecar.engine.limiter.waits import expected_wait
from sidecar.engine.request import RequestContext


def check_in_time(calls: Calls, context: RequestContext, needed: int) -> None:
    """Raise where the request's providers are down, or `needed` calls, one after another, would end too late."""
    if context.earlier is not None:
        return  # in time when its first attempt was made
    reach = context.reach
    if (refusal := calls.refusal(reach)) is not None:
        raise refusal.again()
    if context.patient:
        return
    if calls.clock() >= context.deadline:
        raise DeadlineExceeded
    now = calls.clock()
    left = context.deadline - now
    limit = calls.pool.limit_of(reach)
    if (pause := limit.pause) > left or (
        pause > LONG_PAUSE and futile(calls.pool, calls.gate, reach, now=now, until=context.deadline)
    ):
        raise RateLimited(retry_after=pause)
    wait = expected_wait(calls.pool, calls.gate, context.user, reach, background=context.background)
    if not calls.idle:
        # With nothing under way the measured time may be an old one, and a try is the way to a new one.
        wait += needed * limit.duration
    if wait > left:
        raise Overloaded(retry_after=calls.retry_after(wait - left, reach), cause="late")
