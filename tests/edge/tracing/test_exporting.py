"""Promises of the export of spans: what a collector gets, and that one that is away costs nobody anything."""

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator

import pytest

from sidecar.core.errors import ConfigError
from sidecar.core.tracing import Tracer
from sidecar.tracer import process_tracer
from sidecar.tracing.exporting import FLUSH_SECONDS, exporting
from tests.support.http_sidecar import settings_of
from tests.support.scripted_provider import listening
from tests.support.traces import PATIENCE, Collector, collecting

EVENTS = {"spans_lost", "spans_taken"}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(logging.getLogger("sidecar"), "propagate", True)


@pytest.fixture
async def collector(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Collector]:
    async with collecting() as running:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", running.url)
        yield running


def one(tracer: Tracer | None) -> None:
    """Record a span."""
    assert tracer is not None
    tracer.request(method="POST", path="/ai", request_id="r", seconds=0.0, parent=None).end(200)


async def logged(caplog: pytest.LogCaptureFixture, name: str) -> None:
    """Return once an event is in the log."""
    async with asyncio.timeout(PATIENCE):
        while name not in caplog.messages:  # noqa: ASYNC110 - a log tells nobody that it has grown
            await asyncio.sleep(0.01)


async def test_a_collector_gets_spans_under_the_services_name(collector: Collector) -> None:
    """And its version."""
    async with exporting() as tracer:
        one(tracer)
        await collector.until(lambda spans: len(spans) == 1)
    assert collector.spans[0].name == "POST /ai"
    assert collector.resources[0]["service.name"] == "openai-moodle-sidecar"
    assert collector.resources[0]["service.version"]


async def test_the_standard_variables_hold(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    """Name, attributes and sampler."""
    monkeypatch.setenv("OTEL_SERVICE_NAME", "moodle-ai")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=exams")
    async with exporting() as tracer:
        one(tracer)
        await collector.until(lambda spans: len(spans) == 1)
    assert collector.resources[0]["service.name"] == "moodle-ai"
    assert collector.resources[0]["deployment.environment.name"] == "exams"
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    async with exporting() as tracer:
        one(tracer)
    assert len(collector.spans) == 1


async def test_the_last_spans_are_sent_at_the_end(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    """A drained process leaves none behind."""
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "60000")
    async with exporting() as tracer:
        for _ in range(700):  # more than one batch
            one(tracer)
    assert len(collector.spans) == 700


async def test_a_collector_that_is_away_costs_a_line(collector: Collector, caplog: pytest.LogCaptureFixture) -> None:
    """One as it goes, one as it is back, and no other library's."""
    collector.status = 400
    async with exporting() as tracer:
        for _ in range(5):
            one(tracer)
            await collector.asked()
        await logged(caplog, "spans_lost")
        collector.status = 200
        one(tracer)
        await logged(caplog, "spans_taken")
    records = [record for record in caplog.records if record.name != "asyncio"]
    assert {record.name for record in records} == {"sidecar"}
    assert [record.msg for record in records if record.msg in EVENTS] == ["spans_lost", "spans_taken"]


async def test_a_collector_that_is_not_there_costs_a_line(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its address is in none."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:canary@127.0.0.1:9")
    async with exporting() as tracer:
        one(tracer)
        await logged(caplog, "spans_lost")
    assert caplog.messages.count("spans_lost") == 1
    assert "canary" not in caplog.text + str([getattr(record, "fields", "") for record in caplog.records])


async def test_a_collector_that_never_answers_holds_nobody_up(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the loop while spans end, nor the process at its end, for longer than its bound; the log says so.

    The thread that sends ends with the first call that does: it does not try again.
    """
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "60")
    came, over = asyncio.Event(), asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.set()
        await over.wait()
        writer.close()

    async with listening(silent) as server:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        async with exporting() as tracer:
            one(tracer)
            await came.wait()
            sender = next(thread for thread in threading.enumerate() if thread.name.startswith("OtelBatch"))
            began = time.monotonic()
            for _ in range(3000):  # more than the queue takes
                one(tracer)
            assert time.monotonic() - began < 5.0
            began = time.monotonic()
        assert FLUSH_SECONDS - 0.5 < time.monotonic() - began < FLUSH_SECONDS + 5.0
        assert caplog.messages.count("spans_lost") == 1
        over.set()
        async with asyncio.timeout(PATIENCE):
            while sender.is_alive():  # noqa: ASYNC110 - a thread tells no loop of its end
                await asyncio.sleep(0.01)


async def test_variables_that_the_sdk_refuses_are_a_mistake_in_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The start says so."""
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "100000")
    with pytest.raises(ConfigError, match="OTEL"):
        async with exporting():
            pass


async def test_without_the_setting_there_is_no_tracer() -> None:
    """The default."""
    async with process_tracer(settings_of()) as tracer:
        assert tracer is None


async def test_the_sdk_can_be_turned_off(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its own variable; a caller's trace then goes on as without TRACING."""
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    async with process_tracer(settings_of(TRACING="true")) as tracer:
        assert tracer is None
    assert not collector.spans
