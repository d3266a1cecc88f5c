"""A demo provider that remembers what it received."""

from collections.abc import AsyncIterator

import pytest

from sidecar.demo.options import Options
from sidecar.demo.provider import Demo
from sidecar.demo.server import serve


@pytest.fixture
async def demo() -> AsyncIterator[Demo]:
    async with serve(Options(), keep=1000) as running:
        yield running
