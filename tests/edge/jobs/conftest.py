"""Jobs in a real Valkey."""

from collections.abc import AsyncIterator

import pytest_asyncio

from sidecar.jobs.store import JobStore
from tests.support.valkey import Valkey
from tests.support.workers import jobs_of


@pytest_asyncio.fixture
async def store(server: Valkey) -> AsyncIterator[JobStore]:
    async with jobs_of(REDIS_URL=server.url) as jobs:
        yield jobs
