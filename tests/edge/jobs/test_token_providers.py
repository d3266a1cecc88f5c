"""Jobs of tokens that allow some providers only: the job carries their names, and its worker calls no other."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import msgspec
import pytest

from sidecar.core.contract import Request, of_token
from sidecar.core.errors import UpstreamUnreachable
from sidecar.core.reach import Names
from sidecar.jobs.monitor import monitoring
from sidecar.jobs.offload import Offload, looking_on
from sidecar.jobs.store import JobStore
from sidecar.jobs.worker import handler
from sidecar.service import service_of
from tests.support.engines import request_of
from tests.support.held_provider import HeldUpstream
from tests.support.http_sidecar import settings_of
from tests.support.job_routes import opened
from tests.support.limited_sidecar import limited, providers_at, providers_file, token_table
from tests.support.valkey import Valkey
from tests.support.worker_at_work import at_work
from tests.support.workers import ended, until

BOTH = ("eu", "us")
EU = 'providers = ["eu"]'


def chat(number: int, *names: str) -> Request:
    """Return a request of a token that allows the providers `names`."""
    request = Request(action="chat", content=f"Question {number} for {names}", user_id="7")
    return of_token(request, "physics", names)


def at_all(
    store: JobStore, folder: Path, upstreams: Mapping[str, HeldUpstream], *allowed: str, **named: str
) -> AbstractAsyncContextManager[object]:
    """Run a worker whose PROVIDERS_FILE has `allowed`, by default all."""
    file = providers_file(folder, *(allowed or upstreams))
    return at_work(store, lambda own: upstreams[own.provider_host], PROVIDERS_FILE=file, **named)


async def ids_of(store: JobStore, requests: Sequence[Request]) -> list[str]:
    return [job.job_id for job in await store.enqueue(requests)]


def answered(upstream: HeldUpstream) -> set[str]:
    return {str(call.messages[-1]["content"]).partition(" for ")[2] for call in upstream.calls}


async def test_a_job_goes_to_its_tokens_providers(server: Valkey, tmp_path: Path) -> None:
    """From POST /jobs to the worker; the same text of two tokens with other providers is two jobs."""
    upstreams = {name: HeldUpstream(text=f"Said in {name}.") for name in BOTH}
    tables = [token_table("physics", EU), token_table("chemistry", 'providers = ["us"]'), token_table("gone")]
    async with (
        opened(server) as desk,
        limited(tmp_path, *tables, jobs=desk.store, upstreams=upstreams) as site,
    ):
        ids = [(await site.ask("/jobs", token=token)).json["job_id"] for token in ("physics", "chemistry", "gone")]
        assert len(set(ids)) == 3
        assert (await site.ask("/jobs", token="physics")).json["job_id"] == ids[0]
        async with at_all(desk.store, tmp_path, upstreams):
            jobs = await until(desk.store, ids, ended)
    assert [job.data for job in jobs[:2] if job] == ["Said in eu.", "Said in us."]


async def test_jobs_of_a_full_provider_hold_up_no_others(
    store: JobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They take half of the worker's places at most, however many of them came first, and lose no try."""
    monkeypatch.setattr(handler, "FULL_SECONDS", 0.1)
    upstreams = {name: HeldUpstream() for name in BOTH}
    upstreams["eu"].gate.clear()
    crowd, others = [chat(number, "eu") for number in range(8)], [chat(number, "us") for number in range(6)]
    async with at_all(store, tmp_path, upstreams, WORKER_CONCURRENCY="4", CONCURRENCY="1"):
        waiting = await ids_of(store, crowd)
        await upstreams["eu"].reached()
        await until(store, await ids_of(store, [*others, chat(1)]), ended)
        assert len(upstreams["eu"].calls) == 1
        upstreams["eu"].gate.set()
        jobs = await until(store, waiting, ended)
    assert {job.status for job in jobs if job} == {"complete"}
    assert (answered(upstreams["eu"]) | {"()"}, len(upstreams["eu"].calls) >= 8) == ({"('eu',)", "()"}, True)


async def test_jobs_of_a_broken_provider_wait_in_the_queue(
    store: JobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others go on meanwhile; once the provider answers again, they are done."""
    monkeypatch.setattr(handler, "UNSERVED_SECONDS", 0.2)
    monkeypatch.setattr(handler, "DOWN_SECONDS", 0.2)
    upstreams = {name: HeldUpstream() for name in BOTH}
    upstreams["eu"].failure = UpstreamUnreachable()
    async with at_all(store, tmp_path, upstreams, WORKER_CONCURRENCY="2"):
        waiting = await ids_of(store, [chat(number, "eu") for number in range(8)])
        while len(upstreams["eu"].calls) < 5:  # noqa: ASYNC110 - its breaker opens then
            await asyncio.sleep(0.01)
        jobs = await until(store, await ids_of(store, [chat(number, "us") for number in range(6)]), ended)
        assert {job.status for job in jobs if job} == {"complete"}
        upstreams["eu"].failure = None
        jobs = await until(store, waiting, ended)
    assert {job.status for job in jobs if job} <= {"complete", "failed"}
    assert [job.status for job in jobs if job].count("complete") >= 3


@pytest.mark.parametrize("names", [("us",), ("none",)])
async def test_a_worker_without_the_jobs_providers_leaves_it_alone(
    store: JobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: Names
) -> None:
    """The job waits for a worker, or a PROVIDERS_FILE, that has them; its text goes nowhere else."""
    monkeypatch.setattr(handler, "UNSERVED_SECONDS", 0.2)
    upstreams = {name: HeldUpstream() for name in BOTH}
    async with at_all(store, tmp_path, upstreams, "eu"):
        [job_id] = await ids_of(store, [chat(1, *names)])
        await until(store, await ids_of(store, [chat(number) for number in range(6)]), ended)
        await asyncio.sleep(0.3)
        [job] = await store.look([job_id])
    assert job is not None
    assert job.status in {"queued", "in_progress"}
    assert not upstreams["us"].calls
    assert "none" not in str(upstreams["eu"].calls)


async def test_an_offloaded_summary_keeps_its_tokens_providers(store: JobStore, tmp_path: Path) -> None:
    """A long text of /ai that a worker summarizes; the same text of a token with other providers is another job."""
    here, there = ({name: HeldUpstream(text=f"{where} in {name}.") for name in BOTH} for where in ("Here", "There"))
    text = "Rivers run to the sea. " * 20
    async with (
        at_all(store, tmp_path, there),
        monitoring(store, every=0.05) as monitor,
        looking_on(Offload(store, monitor, threshold=100, limit=20.0)) as offload,
    ):
        settings = settings_of(PROVIDERS_FILE=providers_file(tmp_path, *BOTH))
        providers = providers_at(settings, here)
        service = service_of(settings, providers.pool(), offload, keys=providers.keys)
        while not monitor.takes_jobs:  # noqa: ASYNC110 - the worker says so to Redis alone
            await asyncio.sleep(0.01)
        for user, name in enumerate((*BOTH, *BOTH)):
            request = request_of(text, "summarize", user=str(user), seconds=60.0)
            request = msgspec.structs.replace(request, request=of_token(request.request, "physics", (name,)))
            assert (await service.engine.answer(request)).reply.data == f"There in {name}."
    assert [len(upstream.calls) for upstream in there.values()] == [1, 1]
