"""Promises of traces on the wire: from the caller through the sidecar to the provider, and into the log."""

import asyncio
import json
import logging
import socket
import struct
from collections.abc import Iterator

import pytest

from sidecar.core.errors import RateLimited, UpstreamError
from tests.support.event_streams import DONE, EventReader, FedProvider, chat_request, delta
from tests.support.held_provider import HeldUpstream
from tests.support.http_sidecar import PATIENCE, Caller, head, post, running
from tests.support.traces import PARENT, SPAN, STATE, TRACE, Recorded, facts, recorded

CALLER = (f"traceparent: {PARENT}", f"tracestate: {STATE}")
SUMMARY = json.dumps({"action": "summarize", "content": "A text."}).encode()


@pytest.fixture
def record() -> Iterator[Recorded]:
    with recorded() as made:
        yield made


def reset(caller: Caller) -> None:
    """Reset the connection: no end of sending, which could be a caller that still listens."""
    caller.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    caller.writer.transport.abort()


@pytest.mark.parametrize("request_bytes", [post(b'{"action": "chat", "content": "x"}', *CALLER), chat_request(*CALLER)])
async def test_without_a_tracer_a_callers_headers_go_on_as_they_are(request_bytes: bytes) -> None:
    """On each way to the provider."""
    async with running() as sidecar:
        await sidecar.fetch(request_bytes)
        assert sidecar.upstream.calls[0].trace == {"traceparent": PARENT, "tracestate": STATE}


async def test_an_invalid_trace_costs_nothing() -> None:
    """The request is answered as if it had none."""
    async with running() as sidecar:
        answer = await sidecar.fetch(post(b'{"action": "chat", "content": "x"}', "traceparent: 00-nonsense-01"))
        assert answer.json["success"]
        assert sidecar.upstream.calls[0].trace == {}


@pytest.mark.parametrize("traced", [True, False], ids=["tracer", "no tracer"])
async def test_the_log_names_the_trace(record: Recorded, caplog: pytest.LogCaptureFixture, *, traced: bool) -> None:
    """In the lines of answered and of refused requests; without a trace there is no field."""
    caplog.set_level(logging.INFO, "sidecar")
    logging.getLogger("sidecar").propagate = True
    async with running(tracer=record.tracer if traced else None) as sidecar:
        await sidecar.fetch(post(b'{"action": "chat", "content": "x"}', *CALLER))
        await sidecar.fetch(post(b"nonsense", *CALLER))
        if not traced:
            await sidecar.fetch(post(b"nonsense"))
    found = [
        getattr(line, "fields", {}).get("trace_id") for line in caplog.records if line.msg in {"answered", "refused"}
    ]
    assert found == ([TRACE, TRACE] if traced else [TRACE, TRACE, None])


async def test_a_tracer_gives_the_provider_a_child(record: Recorded) -> None:
    """The caller's trace, and the id of the attempt's span."""
    async with running(tracer=record.tracer) as sidecar:
        await sidecar.fetch(post(b'{"action": "chat", "content": "x"}', *CALLER))
        await record.ended(2)
        call, request = record.spans
        assert call.context is not None
        assert request.parent is not None
        assert sidecar.upstream.calls[0].trace == {
            "traceparent": f"00-{TRACE}-{call.context.span_id:016x}-03",
            "tracestate": STATE,
        }
        assert f"{request.parent.span_id:016x}" == SPAN
    assert (call.name, request.name) == ("chat adorsys", "POST /ai")


async def test_a_refused_request_has_a_span_that_says_so(record: Recorded) -> None:
    """By its code, whatever its status."""
    async with running(tracer=record.tracer, QUEUE_BYTES="4096", MAX_BODY_BYTES="4096") as sidecar:
        await sidecar.fetch(post(b'{"action": "sing", "content": "x"}'))
        await sidecar.fetch(post(b"nonsense"))
        sidecar.service.admission.held_bytes = 4096
        await sidecar.fetch(post(b'{"action": "chat", "content": "x"}'))
        sidecar.service.admission.held_bytes = 0
        await record.ended(3)
    assert [facts(span) for span in record.named("POST /ai")] == [
        ("UNSET", "unknown_action"),
        ("UNSET", "invalid_json"),
        ("ERROR", "overloaded"),
    ]
    assert (record.spans[2].attributes or {})["sidecar.shed"] == "bytes"


async def test_each_attempt_has_a_span(record: Recorded) -> None:
    """A refused one is an error, its successor a resend, and the request none of it."""
    upstream = HeldUpstream(held=True)
    upstream.failure = RateLimited(retryable=True, scope="capacity", retry_after=0.0)
    async with running(upstream, tracer=record.tracer) as sidecar, await sidecar.call() as caller:
        await caller.send(post(b'{"action": "chat", "content": "x"}'))
        await upstream.reached()
        upstream.gate.set()
        await upstream.reached(2)
        upstream.failure = None
        assert (await caller.receive()).json["success"]
        await record.ended(len(upstream.calls) + 1)
    *calls, request = record.spans
    assert facts(calls[0]) == ("ERROR", "rate_limited")
    assert (calls[0].attributes or {})["sidecar.scope"] == "capacity"
    assert [(call.attributes or {}).get("http.request.resend_count", 0) for call in calls] == list(range(len(calls)))
    assert facts(calls[-1]) == facts(request) == ("UNSET", "")


async def test_a_chat_after_its_contexts_summary_is_no_resend(record: Recorded) -> None:
    """Two calls of one request, each with its first attempt."""
    body = json.dumps({"action": "chat", "content": "x", "context": "A long context. " * 400}).encode()
    async with running(tracer=record.tracer) as sidecar:
        await sidecar.fetch(post(body))
        await record.ended(3)
        assert sum(sidecar.service.log.statistics.retries.values()) == 0
    assert not any("http.request.resend_count" in (span.attributes or {}) for span in record.spans)


async def test_a_caller_who_left_is_no_success(record: Recorded) -> None:
    """Neither the request nor its call at the provider."""
    upstream = HeldUpstream(held=True)
    async with running(upstream, tracer=record.tracer) as sidecar:
        async with await sidecar.call() as caller:
            await caller.send(post(b'{"action": "chat", "content": "x"}'))
            await upstream.reached()
            reset(caller)
        await upstream.left.wait()
        await record.ended(2)
    assert [facts(span) for span in record.spans] == [("ERROR", "cancelled")] * 2
    assert "http.response.status_code" not in (record.one("POST /ai").attributes or {})


async def test_a_caller_who_left_while_sending_is_no_success(record: Recorded) -> None:
    """The request has not even been read."""
    async with running(tracer=record.tracer) as sidecar:
        async with await sidecar.call() as caller:
            await caller.send(head("Content-Type: application/json", "Content-Length: 99") + b"{")
            async with asyncio.timeout(PATIENCE):
                while not sidecar.service.admission.held:  # noqa: ASYNC110 - the wire says nothing of it
                    await asyncio.sleep(0)
            reset(caller)
        await record.ended(1)
    assert facts(record.one("POST /ai")) == ("ERROR", "cancelled")


async def test_a_request_that_joined_is_linked_to_the_one_that_pays(record: Recorded) -> None:
    """It has no call of its own; and a cached answer says so."""
    upstream = HeldUpstream(held=True)
    async with running(upstream, tracer=record.tracer) as sidecar:
        first, second = await sidecar.call(), await sidecar.call()
        async with first, second:
            await first.send(post(SUMMARY))
            await upstream.reached()
            await second.send(post(SUMMARY, *CALLER))
            async with asyncio.timeout(PATIENCE):
                while not sidecar.service.kernel.flights.joined:  # noqa: ASYNC110 - as above
                    await asyncio.sleep(0)
            upstream.gate.set()
            await first.receive()
            await second.receive()
        await record.ended(3)
        await sidecar.fetch(post(json.dumps({**json.loads(SUMMARY), "user_id": 7}).encode()))
        await record.ended(4)
    by_shared = {(span.attributes or {}).get("sidecar.shared", ""): span for span in record.named("POST /ai")}
    [link] = by_shared["flight"].links
    assert link.context == by_shared[""].context
    assert not by_shared["kept"].links
    assert len(record.named("chat adorsys")) == 1


async def test_a_stream_has_one_span_to_its_end(record: Recorded) -> None:
    """With the time to its first event; a stream that breaks off is an error in spite of its 200."""
    for failure in (None, UpstreamError()):
        spring = FedProvider()
        for item in (delta("a"), failure):
            await spring.feed.put(item)
        async with running(spring, tracer=record.tracer) as sidecar, await sidecar.call() as caller:
            await caller.send(chat_request(*CALLER, stream=True))
            ear = EventReader(caller)
            await ear.head()
            assert (await ear.rest() == [delta("a"), DONE]) == (failure is None)
            await record.ended(4 if failure else 2)
    broken, whole = record.named("POST /v1/chat/completions")[::-1]
    assert facts(whole) == ("UNSET", "")
    assert facts(broken) == ("ERROR", "upstream_error")
    assert all(
        "gen_ai.response.time_to_first_chunk" in (span.attributes or {}) for span in record.named("chat adorsys")
    )


async def test_probes_and_unknown_paths_have_no_span(record: Recorded) -> None:
    """A monitor's requests would drown the others."""
    async with running(tracer=record.tracer) as sidecar:
        for path in ("/health", "/status", "/nothing", "/openapi.json"):
            await sidecar.fetch(head(path=path, method="GET"))
        await sidecar.fetch(head(path="/v1/models/secret", method="GET"))
        await record.ended(1)
    assert [span.name for span in record.spans] == ["GET /v1/models/{id}"]


async def test_no_text_user_or_token_is_in_a_span(record: Recorded) -> None:
    """Sent in every place that has one."""
    body = json.dumps({"action": "chat", "content": "canary", "context": "canary", "user_id": "canary"}).encode()
    async with running(tracer=record.tracer, SIDECAR_TOKEN="canary", AI_REQUIRE_TOKEN="true") as sidecar:
        await sidecar.fetch(post(body, "Authorization: Bearer canary", path="/ai?canary=canary"))
        await sidecar.fetch(post(body, "Authorization: Bearer wrong-canary"))
        await sidecar.fetch(post(body, path="/openai/deployments/canary/chat/completions"))
        await sidecar.fetch(head(path="/jobs/canary", method="GET"))
        await record.ended(5)
    assert len(record.spans) == 5
    assert not any("canary" in span.to_json() for span in record.spans)
