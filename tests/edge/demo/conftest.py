"""A demo provider and its caller."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from sidecar.demo.server import serve
from tests.support.demo_caller import Caller


@pytest.fixture
async def caller() -> AsyncIterator[Caller]:
    async with serve(keep=4) as demo, aiohttp.ClientSession() as session:
        yield Caller(demo, session)
