"""Promises to callers who send, while others only say that they will."""

from contextlib import AsyncExitStack

from tests.support.http_sidecar import head, post, running


async def test_who_announces_much_and_sends_nothing_shuts_nobody_out() -> None:
    """Fifty announce four megabytes each and send one byte; a small request is served at once."""
    async with running() as sidecar, AsyncExitStack() as stack:
        slow = [await stack.enter_async_context(await sidecar.call()) for _ in range(50)]
        for caller in slow:
            await caller.send(head("Content-Type: application/json", "Content-Length: 4194304") + b"{")
        while sidecar.service.admission.pending < 60 * 2**20:
            await sidecar.fetch(head(path="/health", method="GET"))
        answer = await sidecar.fetch(post())
        assert answer.json["success"]
        for caller in slow:
            caller.writer.transport.abort()
