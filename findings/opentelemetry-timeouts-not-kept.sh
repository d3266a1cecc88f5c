#!/usr/bin/env bash
# opentelemetry-sdk 1.45.2: a BatchSpanProcessor waits for its exporter however
# long that takes; no timeout that one can name is kept.
#
# Guess:     OTEL_BSP_EXPORT_TIMEOUT=500 ends an export after half a second (the
#            specification: "the maximum allowed time"), and force_flush(1000)
#            returns after a second at most, False if it was not enough.
# Behaviour: with an exporter that takes 3 s, force_flush(1000) returns True
#            after 3 s, and shutdown() takes 3 s too.
# Matters:   a service that flushes its spans before it ends is killed by its
#            supervisor when the collector is slow; a drain with a budget has to
#            run the flush in a thread of its own and leave it behind.
#
# Output seen:
#   force_flush(1000): True after 3 s
#   shutdown(): after 3 s
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check opentelemetry-sdk==1.45.2

OTEL_BSP_EXPORT_TIMEOUT=500 "$dir/venv/bin/python" - <<'PY'
import sys
import time

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

SLOW = 3.0


class Slow(SpanExporter):
    def export(self, spans):
        time.sleep(SLOW)
        return SpanExportResult.SUCCESS


provider = TracerProvider()
processor = BatchSpanProcessor(Slow())
provider.add_span_processor(processor)
tracer = provider.get_tracer("findings")

with tracer.start_as_current_span("one"):
    pass
started = time.monotonic()
done = processor.force_flush(1000)
flushed = time.monotonic() - started
with tracer.start_as_current_span("two"):
    pass
started = time.monotonic()
provider.shutdown()
ended = time.monotonic() - started
print(f"force_flush(1000): {done} after {flushed:.0f} s\nshutdown(): after {ended:.0f} s")
if not (done is True and flushed >= SLOW - 0.2 and ended >= SLOW - 0.2):
    sys.exit("changed: a timeout is kept")
PY
