"""The tracer of one process, with TRACING=true; without it nothing of OpenTelemetry is imported."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sidecar.config.settings import Settings
from sidecar.core.errors import ConfigError
from sidecar.core.tracing import Tracer


@asynccontextmanager
async def process_tracer(settings: Settings) -> AsyncIterator[Tracer | None]:
    """Give the tracer, None without TRACING. Raises `ConfigError` if OpenTelemetry is missing or refuses its variables.

    The last spans are sent at the end of the block, within a few seconds.
    """
    if not settings.tracing:
        yield None
        return
    try:
        from sidecar.tracing.exporting import exporting  # noqa: PLC0415 - late: it costs half a second
    except ImportError as exc:
        fault = "TRACING=true: needs opentelemetry-sdk and opentelemetry-exporter-otlp-proto-http (the extra tracing)"
        raise ConfigError([fault]) from exc
    async with exporting() as tracer:
        yield tracer
