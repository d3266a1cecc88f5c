"""Which event loops the edge tests run on: the HTTP ones on the library's own and on uvloop, which serves for real.

And the Valkey of those that need one.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
import pytest_asyncio
import uvloop

from tests.support.valkey import Valkey, valkey


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    loops: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
    if item.path.parent.name == "http":
        loops["uvloop"] = uvloop.new_event_loop
    return loops


@pytest_asyncio.fixture
async def server() -> AsyncIterator[Valkey]:
    async with valkey() as running:
        yield running
