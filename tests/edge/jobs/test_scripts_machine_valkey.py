"""Promises of the scripts under any order of steps, in a real Valkey: the machine of the unit tests, fewer examples."""

import asyncio

import pytest

from tests.support.job_examples import run_machine
from tests.support.job_redis import real_redis
from tests.support.valkey import Valkey


@pytest.mark.long
async def test_jobs_keep_their_promises_in_a_real_server(server: Valkey) -> None:
    """What fakeredis permits and a server refuses, and every difference of the two, would show here."""

    def steps() -> None:
        with real_redis(server.url, keep=30 * 3600) as redis:
            run_machine(redis, 20)

    await asyncio.to_thread(steps)
