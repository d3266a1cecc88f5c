"""Ports of tracing: spans of requests and of provider calls. Without a tracer none of them is on a request's way."""

from collections.abc import Mapping
from typing import Protocol

from sidecar.core.observations import CallEnd, RequestEnd
from sidecar.core.trace_context import TraceContext


class AttemptSpan(Protocol):
    """Port: the span of one attempt at a provider. A method returns at once and never raises."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers by which the provider goes on with the trace."""
        ...

    def answered(self, *, model: str, prompt_tokens: int, completion_tokens: int) -> None:
        """Record an answer's model, blank where it is unknown, and its token counts, 0 where they are unknown."""
        ...

    def ended(self, end: CallEnd) -> None:
        """End the span."""
        ...


class Span(Protocol):
    """Port: the span of one request. A method returns at once and never raises."""

    @property
    def trace_id(self) -> str:
        """The id of the trace, for the log: 32 hexadecimal digits."""
        ...

    @property
    def traceparent(self) -> str:
        """The header by which another process goes on with the trace."""
        ...

    def attempt(
        self, *, provider: str, model: str, max_tokens: int, stream: bool, number: int, queued: float
    ) -> AttemptSpan:
        """Begin the span of an attempt at `provider`: the call's `number`th, from 1, after `queued` seconds of wait."""
        ...

    def joined(self, owner: "Span") -> None:
        """Link the span to the one whose provider calls this request waits for."""
        ...

    def request_ended(self, end: RequestEnd) -> None:
        """Record how the request ended. The span's own end is a matter of its route."""
        ...


class RouteSpan(Span, Protocol):
    """Port: a request's span in the hands of its route, or of a worker."""

    def end(self, status: int = 0) -> None:
        """End the span; `status` is the response's, 0 where none was sent."""
        ...


class Tracer(Protocol):
    """Port: begins the spans of requests. A method returns at once and never raises."""

    def request(
        self, *, method: str, path: str, request_id: str, seconds: float, parent: TraceContext | None
    ) -> RouteSpan:
        """Begin the span of a request that arrived `seconds` ago; `path` is the route's, with its placeholders."""
        ...

    def job(self, *, job_id: str, action: str, submitter: TraceContext | None, waited: bool) -> RouteSpan:
        """Begin the span of one run of a job: inside its submitter's trace while that is `waited` for, else linked."""
        ...
