"""Promises of every client about a call's trace: it goes to the provider where that is allowed, and never else."""

from typing import Final

from tests.support.event_streams import delta
from tests.support.scripted_provider import Adapter, call, canned, completed, every_adapter, http, opened, refused, soon
from tests.support.traces import PARENT, STATE

HEADERS: Final = {"traceparent": PARENT, "tracestate": STATE}


@every_adapter
async def test_a_trace_goes_with_its_call(adapter: Adapter) -> None:
    """And with no other call on the same connection."""
    async with canned() as provider, opened(adapter, provider.url, PASS_TRACEPARENT="true") as upstream:
        await completed(upstream, call(trace=HEADERS))
        await completed(upstream)
        first, second = provider.received
    assert {name: first.headers[name] for name in HEADERS} == HEADERS
    assert not HEADERS.keys() & second.headers.keys()


@every_adapter
async def test_a_trace_goes_with_a_stream(adapter: Adapter) -> None:
    """As with a whole answer."""
    event = b"data: %s\n\ndata: [DONE]\n\n" % delta("a", "stop")
    async with (
        canned(http(event, Content_Type="text/event-stream")) as provider,
        opened(adapter, provider.url, PASS_TRACEPARENT="true") as upstream,
    ):
        async for _ in upstream.stream(call(trace=HEADERS), deadline=soon()):
            pass
        assert provider.received[0].headers["traceparent"] == PARENT


@every_adapter
async def test_a_call_that_teaches_a_dialect_keeps_its_trace(adapter: Adapter) -> None:
    """Both requests are the same attempt."""
    message = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens'."
    lesson = refused(message, 400, type="invalid_request_error", code="unsupported_parameter")
    async with canned(lesson, http()) as provider, opened(adapter, provider.url, PASS_TRACEPARENT="true") as upstream:
        await completed(upstream, call(trace=HEADERS))
        assert [request.headers.get("traceparent") for request in provider.received] == [PARENT, PARENT]


@every_adapter
async def test_without_the_setting_a_provider_learns_nothing_of_traces(adapter: Adapter) -> None:
    """The default: the ids of a site's traces are its own."""
    async with canned() as provider, opened(adapter, provider.url) as upstream:
        await completed(upstream, call(trace=HEADERS))
        assert not HEADERS.keys() & provider.received[0].headers.keys()
