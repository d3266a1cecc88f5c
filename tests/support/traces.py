"""Callers' traces, a tracer whose spans tests read, and a collector that decodes what it is sent."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from sidecar.tracing.spans import OtelTracer

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-03"
STATE = "vendor=opaque"
PATIENCE = 60.0
"""Seconds after which a test that waits for spans has failed."""


class _Ends(SpanProcessor):
    """Sets an event at each span's end."""

    def __init__(self) -> None:
        self.event = asyncio.Event()

    def on_end(self, span: ReadableSpan) -> None:
        self.event.set()


class Recorded:
    """A tracer, and the spans that have ended."""

    def __init__(self) -> None:
        self._memory = InMemorySpanExporter()
        self._provider = TracerProvider(shutdown_on_exit=False)
        self._provider.add_span_processor(SimpleSpanProcessor(self._memory))
        self._ends = _Ends()
        self._provider.add_span_processor(self._ends)
        self.tracer = OtelTracer(self._provider.get_tracer("test"))

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        return self._memory.get_finished_spans()

    async def ended(self, count: int) -> None:
        """Return once so many spans have ended; a reply is sent before its span ends."""
        async with asyncio.timeout(PATIENCE):
            while len(self.spans) < count:
                self._ends.event.clear()
                await self._ends.event.wait()

    def named(self, name: str) -> list[ReadableSpan]:
        """Return the spans with this name, in the order of their ends."""
        return [span for span in self.spans if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        [span] = self.named(name)
        return span

    def close(self) -> None:
        self._provider.shutdown()


@contextmanager
def recorded() -> Iterator[Recorded]:
    """A tracer, closed at the end."""
    made = Recorded()
    try:
        yield made
    finally:
        made.close()


def facts(span: ReadableSpan) -> tuple[str, str]:
    """Return the status of a span and its error's type."""
    return span.status.status_code.name, str((span.attributes or {}).get("error.type", ""))


class Collector:
    """A collector: the spans it received, and the headers of the requests they came in."""

    def __init__(self) -> None:
        self.url = ""
        self.spans: list[Any] = []
        self.resources: list[dict[str, str]] = []
        self.status = 200
        self._asked = asyncio.Event()
        self._came = asyncio.Condition()

    async def take(self, request: web.Request) -> web.Response:
        whole = ExportTraceServiceRequest.FromString(await request.read())
        self._asked.set()
        if self.status == 200:
            async with self._came:
                for group in whole.resource_spans:
                    self.resources.append({pair.key: pair.value.string_value for pair in group.resource.attributes})
                    self.spans += [span for scope in group.scope_spans for span in scope.spans]
                self._came.notify_all()
        return web.Response(status=self.status)

    async def asked(self) -> None:
        """Return after the next request."""
        self._asked.clear()
        async with asyncio.timeout(PATIENCE):
            await self._asked.wait()

    async def until(self, done: Callable[[Sequence[Any]], bool]) -> None:
        """Return as soon as `done(spans)` is true."""
        async with asyncio.timeout(PATIENCE), self._came:
            await self._came.wait_for(lambda: done(self.spans))


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    """A collector on a free port."""
    collector = Collector()
    app = web.Application()
    app.router.add_post("/v1/traces", collector.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    collector.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield collector
    finally:
        await runner.cleanup()


def attributes(span: Any) -> dict[str, Any]:
    """Return the attributes of a span as a collector received it."""
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in span.attributes}
