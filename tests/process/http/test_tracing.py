"""Tracing and the real command: from a caller through the process to a provider and a collector, and at its end."""

import signal
import sys
from asyncio import create_subprocess_exec
from asyncio.subprocess import PIPE
from pathlib import Path

from tests.support.http_sidecar import post
from tests.support.paths import ROOT
from tests.support.scripted_provider import canned
from tests.support.server_process import finished, served
from tests.support.traces import PARENT, SPAN, STATE, TRACE, attributes, collecting

CHAT = b'{"action": "chat", "content": "canary", "user_id": "canary"}'


async def test_a_trace_goes_through_the_process() -> None:
    """The spans are the caller's descendants, the provider has the last one's id, the log names the trace.

    They are sent when the process ends, long before their time.
    """
    async with collecting() as collector, canned() as provider:
        env = {
            "TRACING": "true",
            "PASS_TRACEPARENT": "true",
            "OPENAI_API_KEY": "sk-canary-key",
            "OPENAI_BASE_URL": provider.url,
            "OPENAI_MODEL": "m",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_BSP_SCHEDULE_DELAY": "60000",
        }
        async with served(**env) as server:
            await server.event("tracing")
            request = post(CHAT, f"traceparent: {PARENT}", f"tracestate: {STATE}", "Connection: close")
            assert (await server.fetch(request)).json["success"]
            await server.event("answered", trace_id=TRACE)
            server.process.send_signal(signal.SIGTERM)
            assert await server.ended() == 0
        call, request_span = sorted(collector.spans, key=lambda span: span.name, reverse=True)
        assert (call.name, request_span.name) == ("chat m", "POST /ai")
        assert {span.trace_id.hex() for span in collector.spans} == {TRACE}
        assert (request_span.parent_span_id.hex(), call.parent_span_id) == (SPAN, request_span.span_id)
        headers = provider.received[0].headers
        assert headers["traceparent"] == f"00-{TRACE}-{call.span_id.hex()}-03"
        assert headers["tracestate"] == STATE
        assert attributes(request_span)["sidecar.action"] == "chat"
        assert not any("canary" in str(span) for span in collector.spans)


async def test_a_collector_that_is_away_keeps_nobody_waiting() -> None:
    """Answers come, a line says so, and the process ends with its usual code."""
    env = {"TRACING": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_BSP_SCHEDULE_DELAY": "10"}
    async with served("--demo", **env, OTEL_EXPORTER_OTLP_TIMEOUT="1") as server:
        assert (await server.chat("x"))["success"]
        await server.event("spans_lost")
        assert (await server.chat("x"))["success"]
        server.process.send_signal(signal.SIGTERM)
        assert await server.ended() == 0
        assert [line["event"] for line in server.log].count("spans_lost") == 1


async def test_without_its_package_the_start_says_what_to_install(tmp_path: Path) -> None:
    """As with every setting that makes no sense."""
    (tmp_path / "opentelemetry").mkdir()
    (tmp_path / "opentelemetry" / "__init__.py").write_text("raise ImportError\n")
    command = [sys.executable, "-m", "sidecar", "--http-mode", "--port=0", "--demo"]
    env = {"TRACING": "true", "PYTHONPATH": str(tmp_path)}
    process = await create_subprocess_exec(*command, cwd=ROOT, env=env, stdin=PIPE, stdout=PIPE, stderr=PIPE)
    code, _, err = await finished(process)
    assert code == 2
    assert "opentelemetry-exporter-otlp-proto-http" in err
    assert "Traceback" not in err
