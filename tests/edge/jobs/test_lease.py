"""Promises of a job's lease, with a real Valkey: one run at a time, restarts and failures counted apart."""

import pytest

from sidecar.core.errors import UpstreamError
from sidecar.jobs.store import JobStore
from sidecar.jobs.worker.lease import Held, Runs, Stopped
from tests.support.stored_jobs import one, queued, run_of
from tests.support.workers import lecture


async def test_only_one_runs_a_job(store: JobStore) -> None:
    """A lease is one run's; the next gets it when it was put back."""
    [job] = await store.enqueue([lecture(1)])
    run = await run_of(store, job.job_id)
    with pytest.raises(Held):
        await run_of(store, job.job_id)
    await run.put_back(failed=True)
    again = await run_of(store, job.job_id)
    assert (again.tries, again.crashes) == (1, 0)
    await run.put_back(failed=True)  # too late: it is another's
    with pytest.raises(Held):
        await run.renew()
    await again.renew()
    await again.put_back(failed=False)
    # Waiting again is not over: who takes it for that would take it out of the queue.
    with pytest.raises(Held):
        await run.renew()
    assert await queued(store) == [job.job_id]


async def test_who_did_not_hear_that_it_began_begins_again(store: JobStore) -> None:
    """The same owner finds its own lease, and no restart is counted."""
    [job] = await store.enqueue([lecture(1)])
    [name] = await store.redis.zrange(store.names.queue("night"), 0, -1)
    begin = Runs(store, keep_seconds=60).begin
    await begin(name.decode(), "me")
    assert (await begin(name.decode(), "me")).crashes == 0
    with pytest.raises(Held):
        await begin(name.decode(), "somebody")
    assert (await one(store, job.job_id)).status == "in_progress"


async def test_a_failure_reported_late_is_still_one(store: JobStore) -> None:
    """Redis was away for longer than a lease: nobody else is at the job, and nobody would end it."""
    jobs = await store.enqueue([lecture(1), lecture(2)])
    failing, trying = [await run_of(store, job.job_id) for job in jobs]
    for job in jobs:
        await store.redis.delete(f"{store.names.prefix}lease:{job.job_id}")
    await failing.fail(UpstreamError("No."))
    await trying.put_back(failed=True)
    assert [job.status for job in await store.look([job.job_id for job in jobs]) if job] == ["failed", "queued"]
    again = await run_of(store, jobs[1].job_id)
    assert (again.tries, again.crashes) == (1, 0)


async def test_a_lost_lease_is_a_restart_and_no_failure(store: JobStore) -> None:
    """What a killed worker had is taken up again, and counted apart."""
    [job] = await store.enqueue([lecture(1)])
    await run_of(store, job.job_id)
    await store.redis.delete(f"{store.names.prefix}lease:{job.job_id}")  # its time is over
    again = await run_of(store, job.job_id)
    assert (again.tries, again.crashes) == (0, 1)


async def test_an_answer_counts_whoever_found_it(store: JobStore) -> None:
    """A run that stood still for long and ends after all is not thrown away; the other hears that it is over."""
    [job] = await store.enqueue([lecture(1)])
    slow = await run_of(store, job.job_id)
    await store.redis.delete(f"{store.names.prefix}lease:{job.job_id}")
    quick = await run_of(store, job.job_id)
    with pytest.raises(Held):
        await slow.fail(UpstreamError())
    assert (await one(store, job.job_id)).status == "in_progress"
    await slow.complete("Slow.")
    with pytest.raises(Stopped):
        await quick.renew()
    await quick.complete("Quick.")
    assert (await one(store, job.job_id)).data == "Slow."


async def test_a_cancelled_run_hears_it_at_its_next_part(store: JobStore) -> None:
    """The part is paid for and kept; the run is over."""
    [job] = await store.enqueue([lecture(1)])
    run = await run_of(store, job.job_id)
    await run.keep(b"one", "Part.", done=1, total=3)
    assert (await one(store, job.job_id)).parts_done == 1
    await store.cancel(job.job_id)
    with pytest.raises(Stopped):
        await run.keep(b"two", "Part.", done=2, total=3)
    assert await run.find(b"two") == "Part."
    await run.complete("Too late.")
    assert (await one(store, job.job_id)).data == ""


async def test_a_text_that_waited_too_long_is_said_so(store: JobStore) -> None:
    """A job whose text is gone ends with words, not with silence."""
    [job] = await store.enqueue([lecture(1)])
    await store.redis.delete(store.names.text(job.job_id))
    with pytest.raises(Stopped):
        await run_of(store, job.job_id)
    assert (await one(store, job.job_id)).code == "timeout"
