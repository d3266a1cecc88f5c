"""Layers 5 to 8 of one streamed provider call: as in calls.py, with the slot held until the stream ends.

A stream is retried as any call is, but only before its first event.
"""

import contextlib
import math
from collections.abc import AsyncGenerator

from sidecar.core.errors import UpstreamFailure
from sidecar.core.ports import Call, Usage
from sidecar.engine.deadline import Deadline, Point
from sidecar.engine.limiter.calls import LONGEST_ATTEMPT, Calls
from sidecar.engine.limiter.retry import Retries
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
    while True:
        begun = False
        try:
            attempt = _attempt(calls, call, ticket, trace, retries, deadline=deadline, resumed=resumed)
            async with contextlib.aclosing(attempt) as tried:
                async for data in tried:
                    begun = True
                    yield data
        except UpstreamFailure as failure:
            if begun or not await calls.wait_for_retry(failure, retries, deadline):
                raise
        else:
            return
        resumed = True


async def _attempt(
    calls: Calls, call: Call, ticket: Ticket, trace: Trace, retries: Retries, *, deadline: Point, resumed: bool
) -> AsyncGenerator[bytes, None]:
    due = Deadline(deadline.at)
    async with calls.attempt(ticket, trace, due, retries, resumed=resumed) as tried:
        usage, size = Usage(), 0
        sent = call if trace.span is None else tried.traced(call, trace.span, stream=True)
        events = tried.provider.upstream.stream(sent, deadline=tried.started + LONGEST_ATTEMPT, usage=usage)
        try:
            async with contextlib.aclosing(events):
                async for data in events:
                    size += len(data)
                    if due.at < math.inf:
                        # A cancel from here on is no timeout: the provider answers, however late.
                        due.at = math.inf
                        calls.stream_began(tried, trace)
                    yield data
        finally:  # a broken stream was paid for too
            read, made = usage.prompt_tokens, usage.completion_tokens
            trace.used(read, made, estimate=lambda: tokens_of(call, size // FRAME) if size else 0)
            if tried.span is not None:
                tried.span.answered(
                    model="", prompt_tokens=usage.prompt_tokens, completion_tokens=usage.completion_tokens
                )
