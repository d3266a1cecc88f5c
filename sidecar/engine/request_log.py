"""The end of every request: an observation for those that count, and one line in the log."""

from collections import Counter

from sidecar.core import events
from sidecar.core.errors import Limited, Overloaded, RateLimited, SidecarError, UpstreamFailure
from sidecar.core.observations import RequestEnd
from sidecar.core.tracing import Span
from sidecar.engine.admission import Admission
from sidecar.engine.limiter.calls import Calls
from sidecar.engine.limiter.trace import Trace
from sidecar.engine.request import RequestContext
from sidecar.engine.statistics import Statistics


class RequestLog:
    """Reports and logs requests, refused or answered."""

    def __init__(self, calls: Calls, admission: Admission) -> None:
        self._calls = calls
        self._admission = admission
        self.statistics = Statistics()
        self.observers = calls.observers
        """Observers of every request and of every provider call."""
        self.observers.of_requests.append(self.statistics)
        self.observers.of_calls.append(self.statistics)

    @property
    def codes(self) -> Counter[str]:
        """Requests by code since the start; `ok` are the answered ones, `cancelled` those whose caller left."""
        codes: Counter[str] = Counter()
        for key, count in self.statistics.requests.items():
            codes[key.code] += count
        return codes

    def refused(
        self,
        error: SidecarError,
        *,
        route: str,
        request_id: str,
        token: str = "",
        user: str = "",
        span: Span | None = None,
    ) -> None:
        """Report and log a request refused by its route; a full queue says how long its requests will take.

        `token` is the name of the token that the caller sent, `user` the user's where it was read.
        """
        if isinstance(error, Overloaded) and error.retry_after is None:
            error.retry_after = self._calls.drain_seconds(self._admission.held)
        shed = _shed(error, calls=0)
        end = RequestEnd(request_id=request_id, route=route, code=error.code, token=token, user=user, shed=shed)
        self.report(end, span)
        events.info(
            "refused",
            request_id=request_id,
            door=route,
            code=error.code,
            **({"limit": error.limit} if isinstance(error, Limited) else {}),
            **({"token": token} if token else {}),
            **traced(span),
        )

    def ended(
        self, context: RequestContext, trace: Trace, action: str, error: SidecarError | None, *, left: bool = False
    ) -> None:
        """Report and log the outcome of an admitted request; no error is success, unless the caller has `left`."""
        code, seconds = "ok" if error is None else error.code, self._calls.clock() - context.arrived
        if left:
            code = "cancelled"
        end = RequestEnd(
            request_id=context.request_id,
            route=context.route,
            action=action,
            code=code,
            token=context.token,
            user=context.reader,
            shed="" if error is None else _shed(error, calls=trace.calls),
            seconds=seconds,
            queued=trace.queued,
            upstream=trace.upstream,
            calls=trace.calls,
            prompt_tokens=trace.prompt_tokens,
            completion_tokens=trace.completion_tokens,
            shared=trace.shared,
            provider=trace.provider,
        )
        self.report(end, context.span)
        events.info(
            "answered",
            request_id=context.request_id,
            door=context.route,
            action=action,
            code=code,
            seconds=round(seconds, 4),
            queued=round(trace.queued, 4),
            upstream=round(trace.upstream, 4),
            calls=trace.calls,
            prompt_tokens=trace.prompt_tokens,
            completion_tokens=trace.completion_tokens,
            **({"shared": trace.shared} if trace.shared else {}),
            **({"provider": trace.provider} if trace.provider else {}),
            **({"token": context.token} if context.token else {}),
            **traced(context.span),
        )

    def report(self, end: RequestEnd, span: Span | None) -> None:
        """Give the observation to every observer and to the request's span."""
        self.observers.request_ended(end)
        if span is not None:
            span.request_ended(end)


def traced(span: Span | None) -> dict[str, str]:
    """Return the fields by which a line of the log belongs to a trace."""
    return {} if span is None else {"trace_id": span.trace_id}


def _shed(error: SidecarError, *, calls: int) -> str:
    """Return the cause of an early refusal; blank for an error that came of a provider call."""
    if isinstance(error, Overloaded):
        return error.cause
    if calls or not isinstance(error, UpstreamFailure):
        return ""
    return "pause" if isinstance(error, RateLimited) else "breaker"
