"""Promises of a stream on the wire: events as they come, how each ending looks, and what a leaver frees."""

import asyncio
import json
import socket
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from sidecar.core.errors import RateLimited, UpstreamError
from sidecar.core.ports import Call, Usage
from tests.support.event_streams import DONE, EventReader, FedProvider, body, chat_request, delta
from tests.support.held_provider import HeldUpstream
from tests.support.http_sidecar import AT_ONCE, PATIENCE, Caller, Sidecar, head, running

PATH = "/v1/chat/completions"


@asynccontextmanager
async def streaming(sidecar: Sidecar, request: bytes | None = None) -> AsyncIterator[tuple[Caller, EventReader]]:
    """A caller who asked for a stream."""
    async with await sidecar.call() as caller:
        await caller.send(request or chat_request(stream=True))
        yield caller, EventReader(caller)


async def idle(sidecar: Sidecar) -> None:
    """Return once nothing is held."""
    async with asyncio.timeout(PATIENCE):
        await sidecar.service.drain.emptied()
    assert sidecar.service.kernel.calls.idle
    assert sidecar.service.admission.held_bytes == 0


async def test_events_come_one_by_one_and_done_at_the_end() -> None:
    """Each as soon as the provider sent it, unchanged; the connection is kept."""
    spring = FedProvider()
    async with running(spring) as sidecar, streaming(sidecar) as (caller, ear):
        await spring.feed.put(delta("a"))
        status, headers = await ear.head()
        assert (status, headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
        assert headers["x-request-id"]
        assert (headers["cache-control"], headers["x-accel-buffering"]) == ("no-store", "no")
        assert await ear.event() == delta("a")
        assert sidecar.service.kernel.calls.gate.running == 1
        await spring.feed.put(delta("b", "stop"))
        assert await ear.event() == delta("b", "stop")
        await spring.feed.put(None)
        assert await ear.rest() == [DONE]
        assert ear.ended
        await idle(sidecar)
        await caller.send(head(path="/v1/models", method="GET"))
        assert (await caller.receive()).status == 200


async def test_a_providers_sign_of_life_reaches_the_caller() -> None:
    """As a comment, which no client takes for an event, and proxies between hold the connection open."""
    spring = FedProvider()
    async with running(spring) as sidecar, streaming(sidecar) as (_, ear):
        await spring.feed.put(delta("a"))
        await ear.head()
        assert await ear.event() == delta("a")
        await spring.feed.put(b"")
        assert await ear.event() == b": keep-alive"
        await spring.feed.put(None)
        assert await ear.rest() == [DONE]


async def test_the_caller_decides_what_the_stream_holds() -> None:
    """stream_options reach the provider."""
    spring = FedProvider()
    for item in (delta("a", "stop"), None):
        await spring.feed.put(item)
    async with running(spring) as sidecar:
        async with streaming(sidecar, chat_request(stream=True, stream_options={"include_usage": True})) as (_, ear):
            await ear.head()
            await ear.rest()
        assert spring.calls[0].extra == {"stream_options": {"include_usage": True}}


async def test_an_event_of_several_lines_stays_one() -> None:
    """JSON may hold line ends between its tokens."""
    spring = FedProvider()
    for item in (b'{"choices":\n[]}', b'{"a":\r\n1}', None):
        await spring.feed.put(item)
    async with running(spring) as sidecar, streaming(sidecar) as (_, ear):
        await ear.head()
        assert [json.loads(data) for data in (await ear.rest())[:-1]] == [{"choices": []}, {"a": 1}]


async def test_a_large_event_arrives_as_it_came() -> None:
    """First or later, with line ends or without."""
    large = delta("x" * 1_000_000)
    lines = b'{"choices":\n["%s"]}' % (b"y" * 300_000)
    spring = FedProvider()
    for item in (large, delta("a"), large, lines, None):
        await spring.feed.put(item)
    async with running(spring) as sidecar, streaming(sidecar) as (_, ear):
        await ear.head()
        *found, last, done = await ear.rest()
    assert found == [large, delta("a"), large]
    assert json.loads(last) == json.loads(lines)
    assert done == DONE


async def test_before_the_first_event_a_failure_is_an_ordinary_refusal() -> None:
    """With its status: a client reads no stream that never was one."""
    spring = FedProvider()
    await spring.feed.put(RateLimited(retry_after=7))
    async with running(spring) as sidecar:
        answer = await sidecar.fetch(chat_request(stream=True))
        assert (answer.status, answer.headers["retry-after"]) == (429, "7")
        assert answer.json["error"]["code"] == "rate_limited"
        await idle(sidecar)


async def test_a_first_event_that_does_not_come_is_504() -> None:
    """The deadline covers it."""
    async with running(FedProvider(), REQUEST_TIMEOUT="0.2") as sidecar:
        assert (await sidecar.fetch(chat_request(stream=True))).status == 504
        await idle(sidecar)


async def test_a_stream_that_is_cut_ends_with_an_error_event() -> None:
    """And with a proper end of the response, but without [DONE]: nobody takes a part for the whole."""
    spring = FedProvider()
    for item in (delta("a"), UpstreamError("The AI provider's answer was cut off.")):
        await spring.feed.put(item)
    async with running(spring) as sidecar, streaming(sidecar) as (_, ear):
        await ear.head()
        first, last = await ear.rest()
        assert (first, ear.ended) == (delta("a"), True)
        assert json.loads(last)["error"] == {
            "message": "The AI provider's answer was cut off.",
            "type": "server_error",
            "param": None,
            "code": "upstream_error",
        }
        await idle(sidecar)


async def test_a_provider_that_stalls_ends_with_an_error_event() -> None:
    """After the time of silence; the slot is free."""
    spring = FedProvider()
    async with running(spring, timings={"silent_seconds": 0.1}) as sidecar, streaming(sidecar) as (_, ear):
        await spring.feed.put(delta("a"))
        await ear.head()
        events = await ear.rest()
        assert json.loads(events[-1])["error"]["code"] == "timeout"
        assert spring.running == 0
        await idle(sidecar)


@pytest.mark.parametrize("fed", [False, True], ids=["before the first event", "in the middle"])
async def test_leaving_ends_the_providers_call(fed: bool) -> None:
    """At once, and the slot is free."""
    spring = FedProvider()
    async with running(spring, timings=AT_ONCE) as sidecar:
        async with streaming(sidecar) as (_, ear):
            await spring.reached()
            if fed:
                await spring.feed.put(delta("a"))
                await ear.head()
        async with asyncio.timeout(PATIENCE):
            await spring.ended.wait()
        await idle(sidecar)
        assert sidecar.service.log.codes == {"cancelled": 1}


class Flood(HeldUpstream):
    """A provider that streams without end, as fast as it is read."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = 0
        self.over = asyncio.Event()

    async def stream(self, call: Call, *, deadline: float, usage: Usage | None = None) -> AsyncGenerator[bytes, None]:
        data = delta("x" * 4000)
        try:
            while True:
                yield data
                self.sent += len(data)
        finally:
            self.over.set()


async def test_a_caller_who_does_not_read_holds_the_provider_back_and_is_left() -> None:
    """Little waits in memory; after the time of silence the slot is another's and the connection gone."""
    flood = Flood()
    async with running(flood, timings={"silent_seconds": 0.3}) as sidecar:
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(sock, (sidecar.listening.host, sidecar.listening.port))
            await loop.sock_sendall(sock, chat_request(stream=True))
            async with asyncio.timeout(PATIENCE):
                await flood.over.wait()
            await idle(sidecar)
            assert flood.sent < 8 * 2**20  # most of it in the kernel's buffers
            said = b""
            with suppress(ConnectionError):
                while part := await asyncio.wait_for(loop.sock_recv(sock, 65_536), PATIENCE):
                    said += part
        assert not said.endswith(b"\r\n0\r\n\r\n")  # cut off, and he can tell
        assert sidecar.service.log.codes == {"timeout": 1}


async def test_a_slow_reader_gets_everything() -> None:
    """A caller slower than the provider is well: the provider waits."""
    events = [delta(f"{number} " + "x" * 20_000) for number in range(200)]
    spring = FedProvider()
    for item in (*events, None):
        await spring.feed.put(item)
    async with running(spring) as sidecar, streaming(sidecar) as (_, ear):
        await ear.head()
        await spring.reached()
        assert await ear.rest() == [*events, DONE]


async def test_draining_lets_a_stream_end_and_starts_none() -> None:
    """Who listens hears the rest; who comes is sent elsewhere."""
    spring = FedProvider()
    async with running(spring) as sidecar, streaming(sidecar) as (_, ear):
        await spring.feed.put(delta("a"))
        await ear.head()
        drained = asyncio.create_task(sidecar.listening.drain(PATIENCE))
        while (await sidecar.fetch(head(path="/health", method="GET"))).status == 200:
            pass
        assert (await sidecar.fetch(chat_request(stream=True))).status == 503
        for item in (delta("b", "stop"), None):
            await spring.feed.put(item)
        assert await ear.rest() == [delta("a"), delta("b", "stop"), DONE]
        await drained


async def test_a_stream_that_outlasts_the_grace_says_so() -> None:
    """An error event, not a dead connection."""
    spring = FedProvider()
    async with running(spring) as sidecar, streaming(sidecar) as (_, ear):
        await spring.feed.put(delta("a"))
        await ear.head()
        await sidecar.listening.drain(0.05)
        events = await ear.rest()
        assert json.loads(events[-1])["error"]["code"] == "shutting_down"
        assert spring.running == 0


async def test_an_old_client_gets_its_stream_without_chunks() -> None:
    """HTTP/1.0 has none: the end of the connection is the end, behind a large event too."""
    large = delta("x" * 1_000_000)
    raw = body(stream=True)
    start = head("Content-Type: application/json", f"Content-Length: {len(raw)}", path=PATH)
    for first in (delta("a"), large):
        spring = FedProvider()
        for item in (first, large, delta("a", "stop"), None):
            await spring.feed.put(item)
        async with running(spring) as sidecar, await sidecar.call() as caller:
            await caller.send(start.replace(b"HTTP/1.1", b"HTTP/1.0") + raw)
            said = await caller.rest()
        events = b"\n\n".join(b"data: " + data for data in (first, large, delta("a", "stop"), b"[DONE]"))
        assert said.partition(b"\r\n\r\n")[2] == events + b"\n\n"


async def test_streams_are_never_shared() -> None:
    """Whatever the address allows: each caller has a stream of its own."""
    spring = FedProvider()
    async with running(spring) as sidecar:
        request = chat_request(path=f"{PATH}?action=summarize", stream=True)
        async with streaming(sidecar, request), streaming(sidecar, request):
            await spring.reached(2)
