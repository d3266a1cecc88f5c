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
from tests.support.http_sidecar import head, settings_of
from tests.support.job_routes import opened
from tests.support.limited_sidecar import TOKENS, CostlyUpstream, limited, token_table
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


async def test_a_token_cancels_its_own_share_of_a_job(server: Valkey, tmp_path: Path) -> None:
    """The same text and user at two faculties are one job of two submitters: neither can take the other's away."""
    async with AsyncExitStack() as stack:
        desk = await stack.enter_async_context(opened(server))
        tables = token_table("physics"), token_table("chemistry"), token_table("gone")
        site = await stack.enter_async_context(limited(tmp_path, *tables, jobs=desk.store))

        async def cancel(token: str, query: str = "") -> str:
            request = head(f"Authorization: Bearer {TOKENS[token]}", path=f"/jobs/{job_id}{query}", method="DELETE")
            status: str = (await site.sidecar.fetch(request)).json["status"]
            return status

        for user in ("7", ""):
            entered = [await site.ask("/jobs", user=user, token=token) for token in ("physics", "chemistry")]
            (job_id,) = {answer.json["job_id"] for answer in entered}
            assert [await cancel("gone"), await cancel("gone", "?user_id=7")] == ["queued", "queued"]
            assert [await cancel("physics"), await cancel("physics", "?user_id=7")] == ["queued", "queued"]
            assert await cancel("gone") == "queued", "not the only one either"
            assert await cancel("chemistry", f"?user_id={user}") == "cancelled"
        operators = await site.ask("/jobs", token="physics")
        assert operators.json["job_id"] == job_id
        cancelled = await desk.say("DELETE", f"/jobs/{job_id}")
        assert cancelled.json["status"] == "cancelled", "without a named token, as ever"
