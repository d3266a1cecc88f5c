"""Export of spans to a collector, by OTLP over HTTP, from a thread of OpenTelemetry's SDK.

The SDK reads its own variables (OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_SERVICE_NAME, OTEL_TRACES_SAMPLER …). A collector
that is away costs spans and one line in the log, never a request.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import NoOpTracer

from sidecar import __version__
from sidecar.core import events
from sidecar.core.errors import ConfigError, plain
from sidecar.runtime.daemon_thread import in_daemon_thread
from sidecar.tracing.spans import OtelTracer

FLUSH_SECONDS: Final = 3.0
"""Seconds in which the last spans are sent at the end of the process."""
SERVICE: Final = "openai-moodle-sidecar"
_UNNAMED: Final = "unknown_service"
_LIBRARIES: Final = ("opentelemetry", "urllib3", "requests")
"""Loggers whose lines hold addresses, and come for each batch that a collector does not take."""


class ReportedExporter(SpanExporter):
    """Exporter that logs when a collector stops taking spans, and when it takes them again."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self.lost = 0
        """Spans lost since the collector last took some."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        try:
            result, reason = self._exporter.export(spans), "not taken"
        except Exception as exc:  # noqa: BLE001 - the thread's outermost: the SDK would log a traceback
            result, reason = SpanExportResult.FAILURE, type(exc).__name__
        if result is not SpanExportResult.SUCCESS:
            if not self.lost:
                events.warning("spans_lost", reason=reason)
            self.lost += len(spans)
        elif self.lost:
            events.info("spans_taken", lost=self.lost)
            self.lost = 0
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()


@contextlib.asynccontextmanager
async def exporting() -> AsyncIterator[OtelTracer | None]:
    """Give the tracer, None with OTEL_SDK_DISABLED.

    The end of the block sends the last spans, for `FLUSH_SECONDS` at most. Raises `ConfigError` if the SDK refuses its
    variables.
    """
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    try:
        # Not the exit handler's: that one waits for a collector for half a minute.
        provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
        exporter = ReportedExporter(OTLPSpanExporter())
        provider.add_span_processor(BatchSpanProcessor(exporter))
    except (ValueError, RuntimeError, ImportError) as exc:
        raise ConfigError([f"TRACING: OpenTelemetry refuses its variables (OTEL_*): {plain(str(exc), 200)}"]) from exc
    tracer = provider.get_tracer("sidecar", __version__)
    recording = not isinstance(tracer, NoOpTracer)
    events.info("tracing", sampler=provider.sampler.get_description() if recording else "none")
    try:
        yield OtelTracer(tracer) if recording else None
    finally:
        if not await _flush(provider):
            if not exporter.lost:
                events.warning("spans_lost", reason="not sent before the end")
            exporter.shutdown()  # its thread stops trying


async def _flush(provider: TracerProvider) -> bool:
    """Send the last spans; return whether that came to its end in time."""
    # A daemon thread: the process does not wait for its end.
    try:
        async with asyncio.timeout(FLUSH_SECONDS):
            await in_daemon_thread(provider.shutdown, "send the last spans", ())
    except (TimeoutError, RuntimeError):
        return False
    return True


def _resource() -> Resource:
    """Return the attributes of this service; OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES come first."""
    resource = Resource.create({"service.version": __version__})
    if str(resource.attributes.get("service.name", _UNNAMED)).startswith(_UNNAMED):
        resource = resource.merge(Resource({"service.name": SERVICE}))
    return resource
