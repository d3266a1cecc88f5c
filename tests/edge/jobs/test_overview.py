"""Jobs by lane and state, and their progress, with a real Valkey: what pages and metrics show of them."""

from typing import Any

from sidecar.core.errors import UpstreamError
from sidecar.core.jobs import Lane
from sidecar.jobs.monitor import Monitor
from sidecar.jobs.overview import MOST_SHOWN
from sidecar.jobs.store import JobStore
from sidecar.jobs.worker.lease import Run
from sidecar.metrics.exposition import server_exposition
from sidecar.service import service_of
from tests.support.held_provider import HeldUpstream
from tests.support.http_sidecar import settings_of
from tests.support.metrics_page import Page
from tests.support.stored_jobs import run_of
from tests.support.workers import lecture

NO_ENDS = {"complete": 0, "failed": 0, "cancelled": 0}


async def begun(store: JobStore, number: int, lane: Lane = "night") -> Run:
    """Begin a run of a new job."""
    [job] = await store.enqueue([lecture(number)], lane=lane)
    return await run_of(store, job.job_id)


async def numbers(store: JobStore, lane: Lane) -> tuple[int, int]:
    """Count the lane's jobs in its queue, and those in progress."""
    counts = await store.counts()
    return counts.held[lane], counts.running[lane]


async def test_jobs_are_counted_by_lane_and_state(store: JobStore) -> None:
    """From the queue over a run to each end; a job that is put back is queued again, and each end counts once."""
    runs = [await begun(store, number) for number in range(4)]
    await store.enqueue([lecture(9)])
    await begun(store, 10, "day")
    assert (await numbers(store, "night"), await numbers(store, "day")) == ((5, 4), (1, 1))
    await runs[0].complete("Done.")
    await runs[0].complete("Done.")
    await runs[1].fail(UpstreamError())
    await runs[2].put_back(failed=True)
    assert await numbers(store, "night") == (5, 1)  # arq has not heard of the ends
    await store.cancel(runs[3].job_id)
    await store.cancel(runs[3].job_id)
    await store.cancel(runs[0].job_id)  # deletes the result of a job that is done
    assert (await numbers(store, "night"))[1] == 0
    overview = await store.overviews.look()
    assert overview.ended == overview.day
    assert overview.ended == {"day": NO_ENDS, "night": {"complete": 1, "failed": 1, "cancelled": 1}}


async def test_a_job_without_a_living_run_is_queued(store: JobStore) -> None:
    """A killed worker's job counts so when its lease ends; the next run, and a renewal, count it anew."""
    run = await begun(store, 1)
    redis: Any = store.redis
    prefix = store.names.prefix
    name = (await redis.zrange(f"{prefix}running:night", 0, -1))[0]
    await redis.zadd(f"{prefix}running:night", {name: 1})
    assert await numbers(store, "night") == (1, 0)
    assert (await store.overviews.look()).progress == []
    await run.renew()
    assert await numbers(store, "night") == (1, 1)
    assert 0 < await redis.pttl(f"{prefix}running:night") <= 15_000


async def test_runs_of_earlier_versions_do_no_harm(store: JobStore) -> None:
    """Their jobs count as queued; whichever version ends them, the end is counted, also without a lane."""
    run = await begun(store, 1)
    redis: Any = store.redis
    await redis.delete(f"{store.names.prefix}running:night")
    await redis.hdel(store.names.job(run.job_id), "lane")
    assert await numbers(store, "night") == (1, 0)
    await run.put_back(failed=False)
    await (await run_of(store, run.job_id)).complete("Done.")
    assert (await store.overviews.look()).ended["night"] == NO_ENDS | {"complete": 1}


async def test_the_progress_of_jobs_is_shown_under_a_hash(store: JobStore) -> None:
    """Calls done of all, for the longest texts first; a job's id opens its result and appears nowhere."""
    for number in range(MOST_SHOWN + 2):
        run = await begun(store, number)
        await run.keep(bytes([number]), "A part.", done=1, total=number + 2)
    overview = await store.overviews.look()
    assert [run.total for run in overview.progress] == list(range(MOST_SHOWN + 3, 3, -1))
    first = overview.progress[0]
    assert (first.lane, first.action, first.done) == ("night", "summarize", 1)
    assert (overview.parts["night"].done, overview.parts["night"].total) == (22, sum(range(2, 24)))
    assert len({run.id for run in overview.progress}) == MOST_SHOWN
    assert first.id not in run.job_id
    assert run.job_id not in str(overview)


async def test_a_record_of_a_later_version_hides_no_other(store: JobStore) -> None:
    """Whatever its fields hold, and a record that is gone: the rest is shown."""
    runs = [await begun(store, number) for number in range(3)]
    redis: Any = store.redis
    await redis.hset(store.names.job(runs[0].job_id), mapping={"done": "some", "total": "1.5"})
    await redis.delete(store.names.job(runs[1].job_id))
    await redis.hincrby(f"{store.names.prefix}ended", "night:paused", 1)
    overview = await store.overviews.look()
    assert [(run.done, run.total) for run in overview.progress] == [(0, 0)] * 3
    assert overview.ended["night"] == NO_ENDS


async def test_a_day_is_twenty_four_hours(store: JobStore) -> None:
    """Hours before count no more, and the sums of all time go on."""
    redis: Any = store.redis
    hour = (await redis.time())[0] // 3600
    for back in (0, 1, 23, 24, 30):
        await redis.hset(f"{store.names.prefix}ended:{hour - back}", "night:failed", 1)
    await (await begun(store, 1)).complete("Done.")
    overview = await store.overviews.look()
    assert overview.day["night"] in [NO_ENDS | {"complete": 1, "failed": failed} for failed in (2, 3)]
    assert overview.ended["night"] == NO_ENDS | {"complete": 1}


async def test_the_monitor_tells_status_and_metrics(store: JobStore) -> None:
    """The same numbers on each; an overview is taken every few seconds and not at each look."""
    await (await begun(store, 1)).complete("Done.")
    run = await begun(store, 2)
    await run.keep(b"key", "A part.", done=3, total=8)
    await store.enqueue([lecture(3)])
    monitor = Monitor(store)
    await monitor.look()
    first = monitor.overview
    await monitor.look()
    assert monitor.overview is first
    status = monitor.status()
    assert (status.held["night"], status.running["night"]) == (3, 1)
    assert (status.day["night"]["complete"], status.progress[0].done) == (1, 3)
    service = service_of(settings_of(), HeldUpstream())
    page = Page.of((await server_exposition(service, monitor.status, client="aiohttp").page(""))[1])
    states = [page.value("sidecar_jobs", lane="night", state=state) for state in ("queued", "in_progress")]
    parts = [page.value("sidecar_job_parts", lane="night", state=state) for state in ("done", "open")]
    ends = [page.value("sidecar_jobs_ended_total", lane="night", state=state) for state in ("complete", "failed")]
    assert (states, parts, ends) == ([2, 1], [3, 5], [1, 0])
