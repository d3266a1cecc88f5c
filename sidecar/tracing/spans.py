"""The ports of `sidecar.core.tracing` over OpenTelemetry's API: names, attributes and the status of each span.

Attributes of HTTP are the stable conventions; those of generative AI are in development still (docs/tracing.md). No
span holds a text, a user, a token or an address.
"""

import time
from collections.abc import Mapping
from typing import Final

from opentelemetry import trace as otel
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from sidecar.core.errors import plain
from sidecar.core.observations import CallEnd, RequestEnd
from sidecar.core.trace_context import TRACEPARENT, TRACESTATE, TraceContext
from sidecar.core.tracing import Span

CALLERS: Final = frozenset(
    {
        "invalid_json",
        "invalid_request",
        "unsupported_media_type",
        "too_large",
        "unauthorized",
        "unknown_action",
        "limited",
        "bad_request",
        "not_found",
        "method_not_allowed",
        "wrong_host",
        "request_timeout",
    }
)
"""Codes of refusals that are the caller's: by the conventions they are no errors of a server's span."""
_LEFT: Final = "cancelled"
_LONGEST_NAME: Final = 100
"""Characters of a model's name in a span: callers and providers may choose it."""
_ERROR: Final = "error.type"


class OtelTracer:
    """Port `Tracer` over a tracer of OpenTelemetry."""

    def __init__(self, tracer: otel.Tracer) -> None:
        self._tracer = tracer

    def request(
        self, *, method: str, path: str, request_id: str, seconds: float, parent: TraceContext | None
    ) -> "OtelSpan":
        attributes: dict[str, str] = {
            "http.request.method": method or "_OTHER",
            "http.route": path,
            "url.scheme": "http",
            "sidecar.request_id": request_id,
        }
        if "{" not in path:  # a placeholder stands for a caller's text
            attributes["url.path"] = path
        span = self._tracer.start_span(
            f"{method or 'HTTP'} {path}",
            context=_under(parent),
            kind=SpanKind.SERVER,
            attributes=attributes,
            start_time=time.time_ns() - int(seconds * 1e9),
        )
        return OtelSpan(self._tracer, span)

    def job(self, *, job_id: str, action: str, submitter: TraceContext | None, waited: bool) -> "OtelSpan":
        linked = None if submitter is None or waited else otel.Link(_remote(submitter))
        span = self._tracer.start_span(
            f"job {action}",
            context=_under(submitter if waited else None),
            kind=SpanKind.CONSUMER,
            attributes={"sidecar.request_id": job_id, "sidecar.action": action},
            links=[linked] if linked is not None else (),
        )
        return OtelSpan(self._tracer, span)


class OtelSpan:
    """Port `RouteSpan`."""

    def __init__(self, tracer: otel.Tracer, span: otel.Span) -> None:
        self._tracer = tracer
        self.span = span
        self._code = ""
        """Code with which the request ended; blank until that is known."""

    @property
    def trace_id(self) -> str:
        return otel.format_trace_id(self.span.get_span_context().trace_id)

    @property
    def traceparent(self) -> str:
        return _headers(self.span)[TRACEPARENT]

    def attempt(
        self, *, provider: str, model: str, max_tokens: int, stream: bool, number: int, queued: float
    ) -> "OtelAttempt":
        model = plain(model, _LONGEST_NAME)
        attributes: dict[str, str | int | float | bool] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",  # the conventions' name for whatever speaks OpenAI's API
            "gen_ai.request.model": model,
            "gen_ai.request.max_tokens": max_tokens,
            "sidecar.queued": round(queued, 6),
        }
        if stream:
            attributes["gen_ai.request.stream"] = True
        if provider:
            attributes["sidecar.provider"] = provider
        if number > 1:
            attributes["http.request.resend_count"] = number - 1
        context = otel.set_span_in_context(self.span, Context())
        return OtelAttempt(self._tracer.start_span(f"chat {model}", context, SpanKind.CLIENT, attributes))

    def joined(self, owner: Span) -> None:
        if isinstance(owner, OtelSpan):
            self.span.add_link(owner.span.get_span_context())

    def request_ended(self, end: RequestEnd) -> None:
        self._code = end.code
        found: dict[str, str | int | float] = {
            "sidecar.action": end.action,
            "sidecar.code": end.code,
            "sidecar.shared": end.shared,
            "sidecar.shed": end.shed,
            "sidecar.provider": end.provider,
        }
        found = {name: text for name, text in found.items() if text}
        self.span.set_attributes(found | {"sidecar.calls": end.calls, "sidecar.queued": round(end.queued, 6)})

    def end(self, status: int = 0) -> None:
        code = self._code or _code_of(status)
        if status and code != _LEFT:
            self.span.set_attribute("http.response.status_code", status)
        _fail(self.span, code, caller=code in CALLERS or (400 <= status < 500 and code == str(status)))
        self.span.end()


class OtelAttempt:
    """Port `AttemptSpan`."""

    def __init__(self, span: otel.Span) -> None:
        self._span = span

    @property
    def headers(self) -> Mapping[str, str]:
        return _headers(self._span)

    def answered(self, *, model: str, prompt_tokens: int, completion_tokens: int) -> None:
        found: dict[str, str | int] = {
            "gen_ai.response.model": plain(model, _LONGEST_NAME),
            "gen_ai.usage.input_tokens": prompt_tokens,
            "gen_ai.usage.output_tokens": completion_tokens,
        }
        self._span.set_attributes({name: value for name, value in found.items() if value})

    def ended(self, end: CallEnd) -> None:
        if end.scope:
            self._span.set_attribute("sidecar.scope", end.scope)
        if end.first is not None:
            self._span.set_attribute("gen_ai.response.time_to_first_chunk", round(end.first, 6))
        _fail(self._span, end.code, caller=False)
        self._span.end()


def _code_of(status: int) -> str:
    """Return the code of a request that reported none: of its response, or of a caller who left before one."""
    if not status:
        return _LEFT
    return "ok" if status < 400 else str(status)


def _fail(span: otel.Span, code: str, *, caller: bool) -> None:
    """Give a span its error, if it has one; the status stays unset for a refusal that is the caller's."""
    if code == "ok":
        return
    span.set_attribute(_ERROR, code)
    if not caller:
        description = "the caller left or the call was given up" if code == _LEFT else code
        span.set_status(Status(StatusCode.ERROR, description))


def _headers(span: otel.Span) -> Mapping[str, str]:
    """Return the headers that make `span` the parent."""
    context = span.get_span_context()
    trace_id, span_id = otel.format_trace_id(context.trace_id), otel.format_span_id(context.span_id)
    found = {TRACEPARENT: f"00-{trace_id}-{span_id}-{context.trace_flags:02x}"}
    if state := context.trace_state.to_header():
        found[TRACESTATE] = state
    return found


def _under(parent: TraceContext | None) -> Context:
    """Return the context under which a span begins: the caller's, or a new trace."""
    return Context() if parent is None else otel.set_span_in_context(NonRecordingSpan(_remote(parent)), Context())


def _remote(parent: TraceContext) -> SpanContext:
    state = TraceState.from_header([parent.tracestate]) if parent.tracestate else TraceState()
    return SpanContext(
        int(parent.trace_id, 16),
        int(parent.parent_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(parent.flags),
        trace_state=state,
    )
