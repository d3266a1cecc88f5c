"""One attempt at a provider: its slot, its times, and its span where the request is traced."""

import msgspec

from sidecar.core.observations import CallEnd
from sidecar.core.ports import Call, Completion
from sidecar.core.tracing import AttemptSpan, Span
from sidecar.engine.limiter.grant import Grant
from sidecar.engine.limiter.provider import Provider


class Attempt:
    """One attempt: the provider, points on the clock of its start and of a stream's first event, and its grant."""

    __slots__ = ("first", "grant", "number", "provider", "queued", "span", "started")

    def __init__(self, started: float, provider: Provider, grant: Grant, *, number: int, queued: float) -> None:
        self.started = started
        self.provider = provider
        self.grant = grant
        self.number = number
        """Place among the call's attempts, from 1."""
        self.queued = queued
        """Seconds that the attempt waited for its slot."""
        self.first: float | None = None
        self.span: AttemptSpan | None = None

    def traced(self, call: Call, span: Span, *, stream: bool = False) -> Call:
        """Begin the attempt's span under the request's; return `call` with the headers of the trace."""
        self.span = span.attempt(
            provider=self.provider.name,
            model=call.model or self.provider.model,
            max_tokens=call.max_tokens,
            stream=stream,
            number=self.number,
            queued=self.queued,
        )
        return msgspec.structs.replace(call, trace=self.span.headers)

    def answered(self, answer: Completion) -> None:
        """Record a whole answer in the span."""
        if self.span is not None:
            self.span.answered(
                model=answer.model, prompt_tokens=answer.prompt_tokens, completion_tokens=answer.completion_tokens
            )

    def end(self, code: str, scope: str, seconds: float) -> CallEnd:
        """Return the observation of the attempt's end, and end its span."""
        end = CallEnd(
            provider=self.provider.name,
            code=code,
            scope=scope,
            retry=self.number > 1,
            seconds=seconds,
            first=None if self.first is None else self.first - self.started,
        )
        if self.span is not None:
            self.span.ended(end)
        return end
