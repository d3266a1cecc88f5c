"""The end of every request: counted by code for /status, and one line in the log."""

from collections import Counter

from sidecar.core import events
from sidecar.core.errors import Limited, Overloaded, SidecarError
from sidecar.engine.admission import Admission
from sidecar.engine.limiter.calls import Calls
from sidecar.engine.limiter.trace import Trace
from sidecar.engine.request import RequestContext


class RequestLog:
    """Counts and logs requests, refused or answered."""

    def __init__(self, calls: Calls, admission: Admission) -> None:
        self._calls = calls
        self._admission = admission
        self.codes: Counter[str] = Counter()
        """Requests by code since the start; `ok` are the answered ones, `cancelled` those whose caller left."""

    def refused(self, error: SidecarError, *, route: str, request_id: str, token: str = "") -> None:
        """Count and log a request refused by its route; a full queue says how long its requests will take.

        `token` is the name of the token that the caller sent.
        """
        if isinstance(error, Overloaded) and error.retry_after is None:
            error.retry_after = self._calls.drain_seconds(self._admission.held)
        self.codes[error.code] += 1
        events.info(
            "refused",
            request_id=request_id,
            door=route,
            code=error.code,
            **({"limit": error.limit} if isinstance(error, Limited) else {}),
            **({"token": token} if token else {}),
        )

    def ended(self, context: RequestContext, trace: Trace, action: str, code: str | None) -> None:
        """Count and log the outcome of an admitted request; no code is success."""
        self.codes[code or "ok"] += 1
        events.info(
            "answered",
            request_id=context.request_id,
            door=context.route,
            action=action,
            code=code or "ok",
            seconds=round(self._calls.clock() - context.arrived, 4),
            queued=round(trace.queued, 4),
            upstream=round(trace.upstream, 4),
            calls=trace.calls,
            prompt_tokens=trace.prompt_tokens,
            completion_tokens=trace.completion_tokens,
            **({"shared": trace.shared} if trace.shared else {}),
            **({"provider": trace.provider} if trace.provider else {}),
            **({"token": context.token} if context.token else {}),
        )
