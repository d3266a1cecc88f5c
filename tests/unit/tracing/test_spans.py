"""Promises of the spans: whose children they are, what they are called, how they end, and what is not in them."""

from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import ReadableSpan

from sidecar.core.observations import CallEnd, RequestEnd
from sidecar.core.trace_context import TraceContext, trace_context
from sidecar.http.responses.statuses import STATUSES
from sidecar.tracing.spans import CALLERS, OtelSpan
from tests.support.traces import PARENT, SPAN, STATE, TRACE, Recorded, facts, recorded


@pytest.fixture
def record() -> Iterator[Recorded]:
    with recorded() as made:
        yield made


def caller(flags: str = "03") -> TraceContext:
    context = trace_context([PARENT[:-2] + flags], [STATE])
    assert context is not None
    return context


def begun(record: Recorded, parent: TraceContext | None = None, path: str = "/ai") -> OtelSpan:
    return record.tracer.request(method="POST", path=path, request_id="r", seconds=2.0, parent=parent)


def ended(record: Recorded, code: str, status: int, **more: object) -> ReadableSpan:
    span = begun(record)
    if code:
        span.request_ended(RequestEnd(request_id="r", route="ai", code=code, **more))  # type: ignore[arg-type]
    span.end(status)
    return record.one("POST /ai")


@pytest.mark.parametrize("flags", ["01", "03"])
def test_a_request_goes_on_with_its_callers_trace(record: Recorded, flags: str) -> None:
    """The provider's call is a child of the request's span, which is a child of the caller's; flags and state stay."""
    span = begun(record, caller(flags))
    tried = span.attempt(provider="", model="m", max_tokens=9, stream=False, number=1, queued=0.5)
    headers = tried.headers
    tried.ended(CallEnd(provider="", code="ok"))
    span.end(200)
    call, request = record.spans

    assert request.parent is not None
    assert f"{request.parent.span_id:016x}" == SPAN
    assert call.parent is not None
    assert request.context is not None
    assert call.context is not None
    assert call.parent.span_id == request.context.span_id
    assert headers == {"traceparent": f"00-{TRACE}-{call.context.span_id:016x}-{flags}", "tracestate": STATE}
    assert (span.trace_id, span.traceparent[:36]) == (TRACE, f"00-{TRACE}-")


def test_a_caller_that_is_not_sampled_stays_so(record: Recorded) -> None:
    """Nothing is recorded, and the provider is told the same."""
    span = begun(record, caller("02"))
    tried = span.attempt(provider="", model="m", max_tokens=9, stream=False, number=1, queued=0.0)
    assert tried.headers["traceparent"].endswith("-02")
    tried.ended(CallEnd(provider="", code="ok"))
    span.end(200)
    assert not record.spans


def test_without_a_caller_a_trace_begins(record: Recorded) -> None:
    """With an id of its own."""
    span = begun(record)
    span.end(200)
    assert record.spans[0].parent is None
    assert int(span.trace_id, 16)


def test_a_requests_span_says_what_the_conventions_want(record: Recorded) -> None:
    """Its name is the route's; it began when the request arrived."""
    span = ended(record, "ok", 200, action="chat", calls=2, queued=0.25, shared="kept", provider="p")
    assert dict(span.attributes or {}) == {
        "http.request.method": "POST",
        "http.route": "/ai",
        "url.path": "/ai",
        "url.scheme": "http",
        "http.response.status_code": 200,
        "sidecar.request_id": "r",
        "sidecar.action": "chat",
        "sidecar.code": "ok",
        "sidecar.calls": 2,
        "sidecar.queued": 0.25,
        "sidecar.shared": "kept",
        "sidecar.provider": "p",
    }
    assert span.kind.name == "SERVER"
    assert span.start_time is not None
    assert span.end_time is not None
    assert span.end_time - span.start_time >= 2e9


def test_an_attempts_span_says_what_the_conventions_want(record: Recorded) -> None:
    """Model, tokens, the wait for its slot, and which resend it is."""
    span = begun(record)
    tried = span.attempt(provider="p", model="m", max_tokens=9, stream=True, number=3, queued=0.5)
    tried.answered(model="m-1", prompt_tokens=7, completion_tokens=8)
    tried.ended(CallEnd(provider="p", code="ok", first=0.1))
    call = record.one("chat m")
    assert call.kind.name == "CLIENT"
    assert dict(call.attributes or {}) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "m",
        "gen_ai.request.max_tokens": 9,
        "gen_ai.request.stream": True,
        "gen_ai.response.model": "m-1",
        "gen_ai.response.time_to_first_chunk": 0.1,
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 8,
        "http.request.resend_count": 2,
        "sidecar.provider": "p",
        "sidecar.queued": 0.5,
    }


def test_a_path_with_a_callers_words_is_not_in_a_span(record: Recorded) -> None:
    """Only the route's own path is."""
    begun(record, path="/jobs/{job_id}").end(200)
    assert "url.path" not in (record.one("POST /jobs/{job_id}").attributes or {})


def test_an_unknown_method_is_no_name(record: Recorded) -> None:
    """A caller could write anything there."""
    record.tracer.request(method="", path="/ai", request_id="r", seconds=0.0, parent=None).end(405)
    span = record.one("HTTP /ai")
    assert (span.attributes or {})["http.request.method"] == "_OTHER"
    assert facts(span) == ("UNSET", "405")


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        ("ok", 200, ("UNSET", "")),
        ("", 202, ("UNSET", "")),
        ("overloaded", 200, ("ERROR", "overloaded")),
        ("timeout", 200, ("ERROR", "timeout")),
        ("rate_limited", 429, ("ERROR", "rate_limited")),
        ("upstream_error", 502, ("ERROR", "upstream_error")),
        ("invalid_request", 200, ("UNSET", "invalid_request")),
        ("unauthorized", 401, ("UNSET", "unauthorized")),
        ("cancelled", 0, ("ERROR", "cancelled")),
        ("", 0, ("ERROR", "cancelled")),
        ("", 503, ("ERROR", "503")),
        ("", 404, ("UNSET", "404")),
    ],
)
def test_a_span_ends_as_its_request_did(record: Recorded, code: str, status: int, expected: tuple[str, str]) -> None:
    """Whatever HTTP status the deployed plugin has to be given for it."""
    assert facts(ended(record, code, status)) == expected


def test_a_caller_who_left_has_no_status(record: Recorded) -> None:
    """Even one to whom a stream's 200 was sent."""
    assert "http.response.status_code" not in (ended(record, "cancelled", 200).attributes or {})


def test_only_callers_faults_are_no_errors() -> None:
    """They are the codes whose strict status is of the 400s, but for the provider's limit."""
    found = {code for code, status in STATUSES.items() if status.strict < 500}
    assert found - CALLERS == {"rate_limited"}
    assert CALLERS - found <= {"limited"}


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        (CallEnd(provider="", code="ok"), ("UNSET", "")),
        (CallEnd(provider="", code="rate_limited", scope="capacity"), ("ERROR", "rate_limited")),
        (CallEnd(provider="", code="cancelled"), ("ERROR", "cancelled")),
        (CallEnd(provider="", code="timeout"), ("ERROR", "timeout")),
    ],
)
def test_an_attempt_ends_as_it_did(record: Recorded, end: CallEnd, expected: tuple[str, str]) -> None:
    span = begun(record)
    span.attempt(provider="", model="m", max_tokens=9, stream=False, number=1, queued=0.0).ended(end)
    assert facts(record.one("chat m")) == expected


def test_a_user_is_in_no_span(record: Recorded) -> None:
    """Though an observation has one."""
    span = ended(record, "ok", 200, user="canary-user", token="canary-token")
    assert "canary" not in span.to_json()


def test_a_shared_answer_is_linked_to_the_request_that_pays_for_it(record: Recorded) -> None:
    """So that a long wait without a provider call has its reason in the trace."""
    owner, joiner = begun(record), begun(record)
    joiner.joined(owner)
    joiner.end(200)
    [link] = record.one("POST /ai").links
    assert link.context == owner.span.get_span_context()


@pytest.mark.parametrize("waited", [True, False])
def test_a_jobs_span_belongs_to_its_submitter(record: Recorded, waited: bool) -> None:
    """Inside its trace while the submitter waits; a job of the night has a trace of its own, and a link."""
    record.tracer.job(job_id="j", action="summarize", submitter=caller(), waited=waited).end()
    job = record.one("job summarize")
    assert ([f"{link.context.span_id:016x}" for link in job.links] == [SPAN]) != waited
    assert (job.parent is not None and f"{job.parent.span_id:016x}" == SPAN) == waited
