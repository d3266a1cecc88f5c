"""Promises to callers who send, while others only say that they will."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from tests.support.event_streams import chat_request
from tests.support.http_sidecar import PATIENCE, head, post, running

MIB = 2**20
DECLARED = head("Content-Type: application/json", "Content-Length: 4194304") + b"{"
CHUNKS = head("Content-Type: application/json", "Transfer-Encoding: chunked") + b"%x\r\n" % 4_000_000 + b" " * 200_000


@pytest.mark.parametrize("path", ["/ai", "/v1/chat/completions"])
@pytest.mark.parametrize("start", [DECLARED, CHUNKS], ids=["declared", "chunks"])
async def test_who_announces_much_and_sends_little_shuts_nobody_out(path: str, start: bytes) -> None:
    """Slow senders hold half of the bytes at most, whatever they declare; callers of both routes are served at once."""
    async with running(QUEUE_BYTES="8388608") as sidecar, AsyncExitStack() as stack:
        admission = sidecar.service.admission
        slow = [await stack.enter_async_context(await sidecar.call()) for _ in range(50)]
        for caller in slow:
            caller.described = False
            await caller.send(start.replace(b"POST /ai ", b"POST %s " % path.encode()))
        async with asyncio.timeout(PATIENCE):
            while admission.pending < 3.5 * MIB:
                await sidecar.fetch(head(path="/health", method="GET"))
        assert admission.pending == admission.held_bytes <= 4 * MIB
        assert (await sidecar.fetch(post())).json["success"]
        assert (await sidecar.fetch(chat_request())).status == 200
        for caller in slow:
            caller.writer.transport.abort()
