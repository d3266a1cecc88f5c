"""A demo provider that remembers what it received, and which tests share a worker process."""

from collections.abc import AsyncIterator

import pytest

from sidecar.demo.options import Options
from sidecar.demo.provider import Demo
from sidecar.demo.server import serve


@pytest.fixture
async def demo() -> AsyncIterator[Demo]:
    async with serve(Options(), keep=1000) as running:
        yield running


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run tests that start one-shot processes one after another: the machine has sixteen places for all of them."""
    for item in items:
        if item.path.parent.name == "stdio" or item.path.name.startswith(("test_php", "test_doctor_php")):
            item.add_marker(pytest.mark.xdist_group("one-shot"))
