"""Promises of jobs about the trace that submits them: it goes on in the worker, and is deleted with the text."""

import json
from collections.abc import Iterator

import msgspec
import pytest

from sidecar.core.contract import Request
from sidecar.core.jobs import Lane
from sidecar.jobs.store import JobStore
from sidecar.jobs.worker.handler import JobHandler
from sidecar.jobs.worker.worker import working
from sidecar.providers import Providers
from sidecar.wiring import job_handlers
from tests.support.held_provider import HeldUpstream
from tests.support.http_sidecar import post, settings_of
from tests.support.offload_house import house, long, until
from tests.support.traces import PARENT, SPAN, TRACE, Recorded, facts, recorded
from tests.support.worker_at_work import becomes, one

CALLER = f"traceparent: {PARENT}"
SUMMARY = Request(action="summarize", content="A text.", user_id="7", trace=PARENT)


@pytest.fixture
def record() -> Iterator[Recorded]:
    with recorded() as made:
        yield made


async def test_a_long_summary_keeps_its_callers_trace_in_the_worker() -> None:
    """Whose call carries the caller's own header, where nobody records spans."""
    async with house() as home:
        await home.work()
        await home.ask(long(), CALLER)
        assert home.there.calls[0].trace == {"traceparent": PARENT}


async def test_a_list_of_jobs_keeps_the_trace_that_submits_it() -> None:
    """Each job; a request of the same text that joins later changes nothing."""
    async with house() as home:
        await home.work()
        jobs = [{"action": "summarize", "content": f"Text {number}."} for number in range(2)]
        await home.sidecar.fetch(post(json.dumps({"jobs": jobs}).encode(), CALLER, path="/jobs"))
        await until(lambda: len(home.there.calls) == 2)
        assert [call.trace for call in home.there.calls] == [{"traceparent": PARENT}] * 2


async def test_a_callers_json_is_no_trace() -> None:
    """Only the header is: another field is ignored, as every unknown one."""
    async with house() as home:
        await home.work()
        job = {"action": "summarize", "content": "Text.", "trace": PARENT}
        await home.sidecar.fetch(post(json.dumps(job).encode(), path="/jobs"))
        await until(lambda: len(home.there.calls) == 1)
        assert home.there.calls[0].trace == {}


def handlers_over(upstream: HeldUpstream, store: JobStore, record: Recorded) -> dict[Lane, tuple[JobHandler, int]]:
    settings = settings_of()
    return job_handlers(settings, Providers(settings, lambda _: upstream), store, record.tracer)


@pytest.mark.parametrize("lane", ["day", "night"])
async def test_a_job_has_a_span_and_its_calls_are_its_children(store: JobStore, record: Recorded, lane: Lane) -> None:
    """In the trace of a caller who waits; at night in a trace of its own, linked to the submitter's."""
    upstream = HeldUpstream()
    async with working(store, handlers_over(upstream, store, record)):
        await becomes(store, await one(store, SUMMARY, lane))
        await record.ended(2)
    call, job = record.spans
    assert (job.name, facts(job), call.name) == ("job summarize", ("UNSET", ""), "chat adorsys")
    assert call.parent == job.context
    inside = job.parent is not None and f"{job.parent.span_id:016x}" == SPAN
    linked = [f"{link.context.trace_id:032x}" for link in job.links] == [TRACE]
    assert (inside, linked) == (lane == "day", lane == "night")


async def test_a_job_of_an_older_sidecar_is_worked_off(store: JobStore, record: Recorded) -> None:
    """Its text has no such field, as that of a request without a trace."""
    job_id = await one(store, msgspec.structs.replace(SUMMARY, trace=msgspec.UNSET))
    assert b"trace" not in (await store.redis.get(store.names.text(job_id)) or b"trace")
    async with working(store, handlers_over(HeldUpstream(), store, record)):
        assert (await becomes(store, job_id)).status == "complete"
        await record.ended(2)
    assert record.one("job summarize").parent is None
