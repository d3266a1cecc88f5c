"""Layers 5 to 8 of one streamed provider call: as in calls.py, with the slot held until the stream ends.

A stream is retried as any call is, but only before its first event.
"""

import math
from collections.abc import AsyncGenerator

from sidecar.core.errors import UpstreamFailure
from sidecar.core.ports import Call, Usage
from sidecar.engine.deadline import Deadline, Point
from sidecar.engine.limiter.attempt import Attempt
from sidecar.engine.limiter.calls import LONGEST_ATTEMPT, Calls
from sidecar.engine.limiter.ticket import Ticket
from sidecar.engine.limiter.token_estimate import FRAME, tokens_of
from sidecar.engine.limiter.trace import Trace


async def streamed(
    calls: Calls, call: Call, ticket: Ticket, trace: Trace, *, deadline: Point
) -> AsyncGenerator[bytes, None]:
    """Yield the data of the answer's events; closing the generator ends the call and frees the slot at once.

    Blank data is a sign of life.

    `deadline` holds for the first event. Raises the error of the last attempt.
    """
    retries, resumed = calls.retries(ticket), False
    # One generator for all of it, as in the adapters.
    while True:
        usage, size, due = Usage(), 0, Deadline(deadline.at)
        try:
            retries.count_earlier(ticket, trace)
            async with calls.attempt(ticket, trace, due, retries, resumed=resumed) as tried:
                sent = call if trace.span is None else tried.traced(call, trace.span, stream=True)
                events = tried.provider.upstream.stream(sent, deadline=tried.started + LONGEST_ATTEMPT, usage=usage)
                try:
                    async for data in events:
                        if not size:
                            # A cancel from here on is no timeout: the provider answers, however late.
                            due.at = math.inf
                            calls.stream_began(tried, trace)
                        size += len(data)
                        yield data
                finally:
                    await events.aclose()
                    _spent(call, trace, tried, usage, size)
        except UpstreamFailure as failure:
            if size or not await calls.wait_for_retry(failure, retries, deadline):
                raise
        else:
            return
        resumed = True


def _spent(call: Call, trace: Trace, tried: Attempt, usage: Usage, size: int) -> None:
    """Record the tokens of a stream of `size` bytes; a broken one was paid for too."""
    read, made = usage.prompt_tokens, usage.completion_tokens
    trace.used(read, made, estimate=lambda: tokens_of(call, size // FRAME) if size else 0)
    if tried.span is not None:
        tried.span.answered(model="", prompt_tokens=read, completion_tokens=made)
