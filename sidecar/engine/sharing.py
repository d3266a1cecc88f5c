"""Layers 2 and 3 of a request whose answer may be shared: cache, flight under way, or new work that will be in time."""

from sidecar.engine.answer_cache import Key, Result
from sidecar.engine.deadline import Deadline
from sidecar.engine.estimate import check_in_time
from sidecar.engine.kernel import Kernel
from sidecar.engine.limiter.trace import Trace
from sidecar.engine.request import RequestContext
from sidecar.engine.single_flight import Work


async def share(
    kernel: Kernel, key: Key[Result], work: Work[Result], context: RequestContext, trace: Trace, *, needed: int
) -> Result:
    """Return the cached answer, join the call in flight, or run `work`. Only a new run has to be in time.

    `needed` are the provider calls that `work` makes in this process, one after another; with 0 the estimate is
    left out.
    """
    flights = kernel.flights
    if key not in flights:
        cached = None if context.fresh else flights.find(key, context.reader)
        if cached is not None:
            trace.shared = "kept"
            return cached
        if needed:
            check_in_time(kernel.calls, context, needed)
    else:
        trace.shared = "flight"
        if context.place is not None:
            context.place.step_aside()
    deadline = Deadline(context.deadline)
    return await flights.share(key, work, deadline=deadline, reader=context.reader, span=trace.span)
