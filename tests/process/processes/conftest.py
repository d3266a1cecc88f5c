"""A server of two serving processes in front of the demo provider."""

from collections.abc import AsyncIterator

import pytest

from sidecar.demo.provider import Demo
from tests.support.server_process import Served, served


@pytest.fixture
async def server(demo: Demo) -> AsyncIterator[Served]:
    async with served(f"--base-url={demo.url}/v1", "--api-key=sk-canary-key", "--processes=2") as running:
        yield running
