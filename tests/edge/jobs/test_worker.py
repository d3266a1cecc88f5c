"""Promises of a worker, with a real Valkey: jobs are cancelled, put back and taken in turn, and arq sees no text."""

import asyncio
import logging
from typing import Any

import pytest

from sidecar.core.contract import Request
from sidecar.core.ports import Call, Completion
from sidecar.jobs.keys import hold_prefix
from sidecar.jobs.store import JobStore
from sidecar.jobs.worker import handler
from tests.support.held_provider import HeldUpstream
from tests.support.valkey import valkey
from tests.support.worker_at_work import at_work, becomes, one
from tests.support.workers import PATIENCE, jobs_of, lecture


async def test_a_cancelled_job_frees_its_slot_and_its_text(store: JobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The call under way is cancelled too, within a renewal of the lease."""
    monkeypatch.setattr(handler, "RENEW_SECONDS", 0.05)
    upstream = HeldUpstream(held=True)
    async with at_work(store, upstream):
        job_id = await one(store)
        await upstream.reached()
        assert (await becomes(store, job_id, lambda job: job.status == "in_progress")).data == ""
        job = await store.cancel(job_id, user="7")
        assert job is not None
        assert job.status == "cancelled"
        await asyncio.wait_for(upstream.left.wait(), PATIENCE)
        assert not await store.redis.exists(store.names.text(job_id))
    assert (await becomes(store, job_id)).status == "cancelled"


async def test_a_stopped_worker_puts_back_what_it_was_at(store: JobStore) -> None:
    """No try is used up, no lease holds it: the next worker takes it up at once."""
    held, free = HeldUpstream(held=True), HeldUpstream()
    async with at_work(store, held):
        job_id = await one(store)
        await held.reached()
    assert (await becomes(store, job_id, lambda _: True)).status == "queued"
    assert not await store.redis.exists(f"{store.names.prefix}lease:{job_id}")
    async with at_work(store, free):
        assert (await becomes(store, job_id)).status == "complete"


class Nightly(HeldUpstream):
    """Holds the summaries and answers chats."""

    async def complete(self, call: Call, *, deadline: float) -> Completion:
        if "Lecture" not in str(call.messages):
            return Completion(text="At once.")
        return await super().complete(call, deadline=deadline)


async def test_the_night_never_stands_before_the_day(store: JobStore) -> None:
    """With every slot of the night taken and hundreds waiting, a teacher's text is at work at once."""
    upstream = Nightly(held=True)
    async with at_work(store, upstream, WORKER_CONCURRENCY="4"):
        await store.enqueue([lecture(number) for number in range(500)])
        await upstream.reached(4)
        assert (await becomes(store, await one(store, lane="day"))).data == "At once."
        assert upstream.running == 4


async def test_progress_is_seen_while_it_is_made(store: JobStore) -> None:
    """A long text's parts are counted as they are done."""
    upstream = HeldUpstream(held=True)
    async with at_work(store, upstream, CONTEXT_TOKENS="1200", MAX_TOKENS="100"):
        job_id = await one(store, lecture(1, 400))
        await upstream.reached(4)
        upstream.gate.set()
        job = await becomes(store, job_id)
    # Parts, and one call or more that made one summary of theirs.
    assert job.parts_done == job.parts_total == len(upstream.calls) > 5


async def test_arq_and_redis_see_no_text_but_under_our_keys(store: JobStore) -> None:
    """What a job is about stands under keys with a lifetime and is gone when it ends; arq has ids and nothing else."""
    upstream = HeldUpstream(held=True)
    async with at_work(store, upstream):
        job_id = await one(store)
        await upstream.reached()
        told = [key async for key in store.redis.scan_iter("*") if b"canary" in await _dump(store, key)]
        assert told == [store.names.text(job_id).encode()]
        assert await store.redis.pttl(told[0]) > 0
        upstream.gate.set()
        await becomes(store, job_id)
    # The worker's last words are in: nothing is left but the record, its submitters, numbers and health.
    left = {key.decode().removeprefix(store.names.prefix) async for key in store.redis.scan_iter("*")}
    assert left <= {
        "clock",
        f"job:{job_id}",
        f"by:{job_id}",
        *(name for name in left if name.partition(":")[0] == "ended"),
        *(f"arq:queue:{lane}:health-check" for lane in ("day", "night")),
    }
    for key in left:
        assert b"canary" not in await _dump(store, (store.names.prefix + key).encode())
        assert await store.redis.pttl(store.names.prefix + key) > 0


async def _dump(store: JobStore, key: bytes) -> bytes:
    return await store.redis.dump(key) or b""


async def test_a_worker_warns_of_a_redis_that_throws_jobs_away(caplog: pytest.LogCaptureFixture) -> None:
    """It may be the only one of us on its machine."""
    caplog.set_level(logging.WARNING, "sidecar")
    async with (
        valkey("--maxmemory-policy", "allkeys-lru") as server,
        jobs_of(REDIS_URL=server.url) as store,
        at_work(store, HeldUpstream()),
        asyncio.timeout(PATIENCE),
    ):
        while not caplog.records:  # noqa: ASYNC110 - a log tells nobody that it has grown
            await asyncio.sleep(0.01)
    assert [record.msg for record in caplog.records] == ["redis_policy"]


async def test_a_hundred_jobs_of_other_workers_hide_none(store: JobStore) -> None:
    """What is at work stays in the queue; who comes behind it is found all the same."""
    jobs = await store.enqueue([lecture(number) for number in range(101)])
    for name in (await store.redis.zrange(store.names.queue("night"), 0, -1))[:100]:
        await store.redis.set(hold_prefix() + name.decode(), "1")
    async with at_work(store, HeldUpstream()):
        assert (await becomes(store, jobs[100].job_id)).status == "complete"


async def test_a_job_that_another_version_enqueued_is_worked_off(store: JobStore) -> None:
    """What is kept of a job has one form, word for word: an upgrade finds its jobs. Another form, another prefix."""
    job_id, name = "0123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcdef.1800000000000"
    redis: Any = store.redis
    await redis.hset(
        f"moodle-sidecar:job:{job_id}",
        mapping={"status": "queued", "gen": "1800000000000", "lane": "night", "action": "summarize"},
    )
    text = '{"action":"summarize","content":"Old.","context":"","user_id":""}'
    await redis.set(f"moodle-sidecar:text:{job_id}", text)
    await redis.set(f"moodle-sidecar:arq:job:{name}", '{"t":null,"f":"work","a":[],"k":{},"et":1700000000000}')
    await redis.zadd("moodle-sidecar:arq:queue:night", {name: 1_700_000_000_000})
    # And it is the form that this version writes.
    [ours] = await store.enqueue([Request(action="summarize", content="Old.")])
    record = await redis.hgetall(f"moodle-sidecar:job:{ours.job_id}")
    assert {key.decode() for key in record} == {"status", "gen", "lane", "action"}
    assert await redis.get(f"moodle-sidecar:text:{ours.job_id}") == text.encode()
    async with at_work(store, HeldUpstream()):
        assert (await becomes(store, job_id)).data == "An answer."
