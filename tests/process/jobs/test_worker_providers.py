"""A worker reads PROVIDERS_FILE again on SIGHUP: later jobs go to the new provider, and the worker stays at work."""

import signal
from pathlib import Path

from tests.support.valkey import valkey
from tests.support.workers import CountingProvider, counting_provider, ended, jobs_of, lecture, until, worker


async def test_a_hangup_reads_the_providers_again(tmp_path: Path) -> None:
    """A call under way ends where it is; a job after the signal is the new provider's."""
    file = tmp_path / "providers.toml"

    def write(provider: CountingProvider, name: str) -> None:
        file.write_text(f'[[provider]]\nname = "{name}"\nbase_url = "{provider.url}"\nmodel = "m"\n')

    async with counting_provider() as old, counting_provider() as new, valkey() as server:
        write(old, "old")
        named = {"REDIS_URL": server.url, "PROVIDERS_FILE": str(file)}
        async with worker(**named) as running, jobs_of(**named) as store:
            old.open.clear()
            [first] = await store.enqueue([lecture(1, 3)], lane="night")
            await old.reached(1)
            write(new, "new")
            running.process.send_signal(signal.SIGHUP)
            await running.event("providers_read", providers=["new"])
            [second] = await store.enqueue([lecture(2, 3)], lane="night")
            await until(store, [second.job_id], ended)
            old.open.set()
            jobs = await until(store, [first.job_id, second.job_id], ended)
            assert [job and job.data for job in jobs] == ["Summary of Lecture1x.", "Summary of Lecture2x."]
            assert (old.calls.total(), new.calls.total()) == (1, 1)
            await running.event("job", provider="new")
            assert await running.stop() == 0
