"""Promises of the connect limit: a loop of ours that stands still is no fault of the provider."""

import asyncio
import socket
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from yarl import URL

from sidecar.core.errors import UpstreamUnreachable
from sidecar.provider.aiohttp.session import Session
from sidecar.provider.base import read_whole
from sidecar.provider.endpoint import Endpoint, endpoint
from sidecar.provider.stalls import STALLED_SECONDS
from sidecar.provider.stdlib.connect import dial
from tests.support.scripted_provider import canned

LIMIT = 0.2


async def by_session(where: Endpoint) -> None:
    session = Session(where, None, None, connect_seconds=LIMIT)
    try:
        await read_whole(await session.post(URL(where.url), b"{}", {}))
    finally:
        await session.aclose()


async def by_dial(where: Endpoint) -> None:
    (await dial(where, None, None, connect_seconds=LIMIT)).abort()


every_client = pytest.mark.parametrize("connect", [by_session, by_dial])
Connect = Callable[[Endpoint], Coroutine[Any, Any, None]]


async def stand_still(seconds: float) -> None:
    """Block the loop, as the decoding of large bodies did."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


@every_client
async def test_a_loop_that_stood_still_is_no_unreachable_provider(connect: Connect) -> None:
    """The limit ran out, but not at the provider: the connection is tried again."""
    async with canned() as provider:
        connecting = asyncio.create_task(connect(endpoint(provider.url)))
        stalling = asyncio.create_task(stand_still(STALLED_SECONDS + LIMIT + 0.2))
        await asyncio.gather(connecting, stalling)


@every_client
async def test_a_provider_that_takes_no_connection_is_unreachable(connect: Connect) -> None:
    """While the loop runs, the limit is the provider's."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        with socket.create_connection(address), pytest.raises(UpstreamUnreachable, match="does not answer within"):
            await connect(endpoint(f"http://127.0.0.1:{address[1]}/v1"))
