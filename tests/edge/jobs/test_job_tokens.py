"""Tokens of a job count for its submitter, wherever the job was run."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

from sidecar.engine.quotas.quotas import Quotas
from sidecar.engine.quotas.shared import Shared
from sidecar.jobs.shared_counters import SharedCounters
from sidecar.jobs.worker.worker import working
from sidecar.providers import Providers
from sidecar.wiring import job_handlers
from tests.support.http_sidecar import settings_of
from tests.support.job_routes import opened
from tests.support.limited_sidecar import CostlyUpstream, limited, token_table
from tests.support.valkey import Valkey
from tests.support.worker_at_work import becomes


async def test_a_jobs_tokens_count_for_its_submitter(server: Valkey, tmp_path: Path) -> None:
    """The worker counts them in Redis; the sidecar then refuses that user of that token, and nobody else."""
    async with AsyncExitStack() as stack:

        def shared() -> Shared:
            store = SharedCounters(settings_of(REDIS_URL=server.url))
            stack.push_async_callback(store.aclose)
            return Shared(store, limit=20.0)

        desk = await stack.enter_async_context(opened(server))
        tables = "[user]\ntokens_per_day = 10", token_table("physics")
        site = await stack.enter_async_context(limited(tmp_path, *tables, shared=shared(), jobs=desk.store))
        quotas = Quotas(site.quotas.file, shared=shared(), wall=site.wall)
        settings = settings_of(REDIS_URL=server.url)
        providers = Providers(settings, lambda _: CostlyUpstream())
        handlers = job_handlers(settings, providers, desk.store, quotas=quotas)
        await stack.enter_async_context(working(desk.store, handlers))
        submitted = await site.ask("/jobs", token="physics")
        assert submitted.status == 202
        assert (await becomes(desk.store, submitted.json["job_id"])).status == "complete"
        await quotas.settle()
        refused = await site.ask("/jobs", text="another", token="physics")
        assert (refused.status, refused.json["code"]) == (429, "limited")
        for user, token in (("8", "physics"), ("7", "")):
            if token:
                assert (await site.ask("/jobs", user=user, token=token, text=user)).status == 202
            else:
                assert (await site.ask(user=user)).json["success"]
    await asyncio.sleep(0)
