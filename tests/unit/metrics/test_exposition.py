"""Promises of the page of a scrape: what the numbers say, in both formats, as Prometheus' own parsers read it."""

import time
from pathlib import Path

import pytest

from sidecar.core.observations import CallEnd, RequestEnd
from sidecar.engine.limiter.pool import Pool
from sidecar.engine.limiter.provider import Provider
from sidecar.engine.service import Service
from sidecar.metrics import process
from sidecar.metrics.exposition import OPENMETRICS, TEXT, server_exposition, wants_openmetrics, worker_exposition
from sidecar.metrics.families import FAMILIES
from sidecar.metrics.readings import LaneNumbers
from sidecar.service import service_of
from tests.support.engines import service_over
from tests.support.held_provider import HeldUpstream
from tests.support.http_sidecar import settings_of
from tests.support.metrics_page import Page

ASKED = "application/openmetrics-text;version=1.0.0"


def ended(request_id: str = "r-1", **changed: object) -> RequestEnd:
    fields: dict[str, object] = {
        "request_id": request_id,
        "route": "ai",
        "action": "chat",
        "code": "ok",
        "seconds": 2.5,
        "calls": 1,
        "queued": 1.2,
    }
    return RequestEnd(**(fields | changed))  # type: ignore[arg-type]


async def page_of(service: Service, accept: str = "", *, exemplars: bool = False) -> Page:
    kind, body = await server_exposition(service, client="aiohttp").page(accept, exemplars=exemplars)
    return Page.of(body, openmetrics=kind == OPENMETRICS)


@pytest.mark.parametrize("accept", ["", ASKED])
async def test_requests_calls_and_tokens_are_counted(accept: str) -> None:
    """The same numbers in both formats; the provider without a name is `default`."""
    service = service_over(HeldUpstream())
    observers = service.log.observers
    observers.request_ended(ended(prompt_tokens=7, completion_tokens=2))
    observers.request_ended(ended(code="overloaded", shed="places"))
    observers.request_ended(ended(code="ok", shared="kept", calls=0))
    observers.call_ended(CallEnd(provider="", code="rate_limited", scope="capacity", seconds=0.1))
    observers.call_ended(CallEnd(provider="", code="ok", retry=True, seconds=2.0, first=0.3))

    page = await page_of(service, accept)
    assert page.value("sidecar_requests_total", route="ai", action="chat", code="ok") == 2
    assert page.value("sidecar_shed_total", cause="places") == 1
    assert page.value("sidecar_shared_answers_total", source="cached") == 1
    assert page.value("sidecar_tokens_total", action="chat", provider="default", kind="prompt") == 7
    assert page.value("sidecar_provider_calls_total", code="rate_limited", scope="capacity") == 1
    assert page.value("sidecar_provider_retries_total", provider="default") == 1
    assert page.value("sidecar_provider_first_token_seconds_count", provider="default") == 1
    assert page.value("sidecar_request_seconds_count", route="ai") == 2
    assert page.value("sidecar_wait_seconds_sum", route="ai") == pytest.approx(1.2)
    assert page.value("sidecar_request_seconds_bucket", le="2.0") == 0
    assert page.value("sidecar_request_seconds_bucket", le="3.0") == 2
    assert page.value("sidecar_request_seconds_bucket", le="+Inf") == 2


async def test_the_state_of_queue_and_provider_is_shown() -> None:
    """Gauges are those of the moment of the scrape."""
    service = service_over(HeldUpstream())
    with service.admission.admit(100):
        page = await page_of(service)
    assert page.value("sidecar_places_held") == 1
    assert page.value("sidecar_body_bytes_held") == 100
    assert page.value("sidecar_provider_limit", provider="default") == service.kernel.calls.limit.ceiling
    assert page.value("sidecar_provider_breaker_open", provider="default") == 0
    assert page.value("sidecar_draining") == 0
    assert page.value("sidecar_build_info", client="aiohttp") == 1
    service.drain.begin(0)
    assert (await page_of(service)).value("sidecar_draining") == 1


async def test_the_process_is_shown() -> None:
    """Under the names that every dashboard for processes knows."""
    page = await page_of(service_over(HeldUpstream()))
    assert page.value("process_resident_memory_bytes") > 10_000_000
    assert page.value("process_cpu_seconds_total") > 0
    assert 3 <= page.value("process_open_fds") <= page.value("process_max_fds")
    assert 1e9 < page.value("process_start_time_seconds") <= time.time() + 1


@pytest.mark.parametrize("name", ["_STAT", "_DESCRIPTORS"])
async def test_a_machine_without_proc_has_a_page_all_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process's own numbers are missing then, and nothing else."""
    monkeypatch.setattr(process, name, Path("/nowhere"))
    page = await page_of(service_over(HeldUpstream()))
    assert page.value("sidecar_places_limit") > 0
    assert not [sample for sample in page.samples if sample.name.startswith("process_")]


async def test_an_old_kernels_descriptors_are_counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Before Linux 6.2 the folder has no size, and its entries are counted."""
    for name in "012":
        (tmp_path / name).touch()
    monkeypatch.setattr(process, "_DESCRIPTORS", Unsized(tmp_path))
    assert (await page_of(service_over(HeldUpstream()))).value("process_open_fds") == 3


class Unsized:
    """A folder that says nothing of its size."""

    st_size = 0

    def __init__(self, folder: Path) -> None:
        self.iterdir = folder.iterdir

    def stat(self) -> "Unsized":
        return self


async def test_each_of_several_providers_has_its_series() -> None:
    """Under the names of PROVIDERS_FILE; a provider that left the file keeps what was counted."""
    upstream = HeldUpstream()
    pool = Pool([Provider(upstream, concurrency=number, name=name) for number, name in ((3, "east"), (5, "west"))])
    service = service_of(settings_of(), pool)
    service.log.observers.call_ended(CallEnd(provider="gone", code="ok", seconds=1.0))
    page = await page_of(service)
    assert page.value("sidecar_provider_ceiling", provider="east") == 3
    assert page.value("sidecar_provider_ceiling", provider="west") == 5
    assert page.value("sidecar_provider_calls_total", provider="gone") == 1


async def test_an_early_refusal_has_its_series_from_the_start() -> None:
    """An increase from nothing is no increase to Prometheus, and the first refusals are those that an alert is for."""
    page = await page_of(service_over(HeldUpstream()))
    causes = {sample.labels["cause"] for sample in page.samples if sample.name == "sidecar_shed_total"}
    assert causes == {"places", "bytes", "late", "jobs", "pause", "breaker"}


async def test_usual_series_are_there_from_the_start() -> None:
    """So that the first burst, all of it between two scrapes, is an increase; no reading begins a series by itself."""
    service = service_over(HeldUpstream())
    page = await page_of(service)
    for route in ("ai", "openai"):
        assert [
            name for name, labels in page.series() if name == "sidecar_requests_total" and ("route", route) in labels
        ]
        assert ("sidecar_request_seconds_bucket", (("le", "+Inf"), ("route", route))) in page.series()
    for name in ("sidecar_provider_retries_total", "sidecar_provider_call_seconds_count"):
        assert (name, (("provider", "default"),)) in page.series()
    statistics = service.log.statistics
    assert not any(getattr(statistics, name) for name in vars(statistics))


@pytest.mark.parametrize(
    ("accept", "exemplars", "shown"), [(ASKED, True, True), (ASKED, False, False), ("text/plain", True, False)]
)
async def test_request_ids_are_shown_only_where_asked_for(accept: str, *, exemplars: bool, shown: bool) -> None:
    """They are the callers' own words, so that they leave the process in OpenMetrics and at the scraper's wish only."""
    service = service_over(HeldUpstream())
    service.log.observers.request_ended(ended("r-1"))
    kind, body = await server_exposition(service, client="x").page(accept, exemplars=exemplars)
    assert (b"r-1" in body) is shown
    found = [sample.exemplar for sample in Page.of(body, openmetrics=kind == OPENMETRICS).samples if sample.exemplar]
    assert bool(found) is shown
    assert all(exemplar.labels == {"request_id": "r-1"} for exemplar in found)


@pytest.mark.parametrize("request_id", ["x" * 119, 'a"b', "a\nb", "ü"])
async def test_an_id_unfit_for_an_exemplar_is_left_out(request_id: str) -> None:
    """One wrong exemplar would make the whole page unreadable."""
    service = service_over(HeldUpstream())
    service.log.observers.request_ended(ended(request_id))
    page = await page_of(service, ASKED, exemplars=True)
    assert not [sample for sample in page.samples if sample.exemplar]
    assert page.value("sidecar_request_seconds_count", route="ai") == 1


async def test_a_workers_lanes_are_told_apart() -> None:
    """Each lane has an engine of its own, so that every series of an engine names it."""
    day, night = service_over(HeldUpstream()), service_over(HeldUpstream())
    night.log.observers.request_ended(ended(route="job"))
    lanes = {"day": LaneNumbers(day, lambda: 2, 8), "night": LaneNumbers(night, lambda: 1, 4)}
    exposition = worker_exposition(lanes, redis_up=lambda: True, client="aiohttp")  # type: ignore[arg-type]
    page = Page.of((await exposition.page(""))[1])
    assert page.value("sidecar_requests_total", lane="night", route="job") == 1
    assert page.value("sidecar_jobs_running", lane="day") == 2
    assert page.value("sidecar_jobs_running_limit", lane="night") == 4
    assert page.value("sidecar_redis_up") == 1
    assert {sample.labels["lane"] for sample in page.samples if sample.name == "sidecar_draining"} == {"day", "night"}


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("", False),
        ("*/*", False),
        (TEXT, False),
        (ASKED, True),
        ("application/openmetrics-text; version=0.0.1", True),
        ("application/openmetrics-text;version=none", True),
        ("text/plain;q=0.9, Application/OpenMetrics-Text ;q=0.1", True),
        ("application/openmetrics-text;q=0", False),
        ("application/openmetrics-text; q = 0.0", False),
        ("application/openmetrics-textual", False),
        (";;,,=", False),
    ],
)
def test_the_format_is_the_one_that_accept_names(accept: str, *, wanted: bool) -> None:
    """Whatever is in the header, there is an answer."""
    assert wants_openmetrics(accept) is wanted


def test_names_and_labels_are_sound() -> None:
    """Every metric is ours or the process's; a counter ends in `_total`; no label name needs escaping."""
    names = [family.name for family in FAMILIES]
    assert len(names) == len(set(names))
    for family in FAMILIES:
        assert family.name.startswith(("sidecar_", "process_"))
        assert family.name.endswith("_total") is (family.kind == "counter")
        assert all(label.isidentifier() and not label.startswith("_") for label in family.labels)
