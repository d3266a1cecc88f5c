"""Promises of workers while Redis comes and goes: nothing is lost or paid twice, and a stop has its end."""

import pytest

from tests.support.job_crashes import stopped_redis
from tests.support.scale import scaled
from tests.support.valkey import valkey
from tests.support.workers import counting_provider, jobs_of, lecture, worker


@pytest.mark.long
async def test_a_stopped_redis_loses_nothing() -> None:
    """Redis stopped and started with its file, twice, in the middle: workers wait, go on, and pay for nothing again."""
    toll = await stopped_redis(scaled(60, 500), stops=scaled(2, 4))
    assert not toll.broken, str(toll)


async def test_a_silent_redis_does_not_hold_up_the_end() -> None:
    """SIGTERM ends a worker within its grace and some seconds, even if nothing answers."""
    async with valkey() as server, counting_provider() as provider, jobs_of(REDIS_URL=server.url) as store:
        provider.latency = 600.0
        env = {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": provider.url, "REDIS_URL": server.url, "SHUTDOWN_GRACE": "1"}
        async with worker(**env) as running:
            await store.enqueue([lecture(number) for number in range(4)])
            await provider.reached(4)
            server.pause()
            assert await running.stop() == 0
        server.resume()
