"""Promises to a server whose callers send many requests ahead, or do not read what they asked for."""

import asyncio

import pytest
from aiohttp import web

from sidecar.http.server import server
from sidecar.http.server.one_task import STEP
from tests.support.held_provider import HeldUpstream
from tests.support.http_sidecar import PATIENCE, Caller, head, post, running, serving

LARGE = 12 * 2**20
"""More bytes than the kernel takes for a connection."""
ASKED = head(path="/", method="GET")


async def test_answers_that_nobody_reads_hold_up_the_next_ones() -> None:
    """A caller who sends thousands of requests and reads nothing is not answered into memory."""
    served, over = 0, asyncio.Event()
    many = 2000

    async def answer(_: web.BaseRequest) -> web.Response:
        nonlocal served
        served += 1
        if served == many:
            over.set()
        return web.Response(body=b"x" * 60_000)

    async with serving(answer) as (host, port), await Caller.connect(host, port, described=False) as caller:
        caller.write(ASKED * many)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(over.wait(), 0.5)
        assert 0 < served < many / 4
        caller.writer.transport.abort()


async def test_requests_sent_ahead_leave_the_loop_its_turns() -> None:
    """A hundred of one caller in one packet are answered in many turns, between which others have theirs."""
    turns, seen = 0, set[int]()

    async def answer(_: web.BaseRequest) -> web.Response:
        seen.add(turns)
        return web.Response(body=b"ok")

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with serving(answer) as (host, port), await Caller.connect(host, port, described=False) as caller:
        counting = asyncio.create_task(count())
        await caller.send(ASKED * 100)
        for _ in range(100):
            await caller.receive()
        counting.cancel()
    assert len(seen) > 50


@pytest.mark.parametrize("size", [STEP, STEP + 1, 5 * STEP - 1])
async def test_a_long_answer_arrives_whole_and_the_next_one_too(size: int) -> None:
    """On one connection, whether the body is bytes or was put together piece by piece."""
    bodies = [bytes(range(256)) * (size // 256 + 1), bytearray(b"y" * size), b"z"]
    bodies[0] = bodies[0][:size]
    waiting = iter(bodies)

    async def answer(_: web.BaseRequest) -> web.Response:
        return web.Response(body=next(waiting))

    async with serving(answer) as (host, port), await Caller.connect(host, port, described=False) as caller:
        for body in bodies:
            await caller.send(ASKED)
            assert (await caller.receive()).body == body


async def test_a_caller_who_leaves_amid_a_long_answer_ends_it() -> None:
    """And others are answered."""
    body, begun = b"x" * LARGE, 0

    async def answer(_: web.BaseRequest) -> web.Response:
        nonlocal begun
        begun += 1
        return web.Response(body=body)

    async with serving(answer) as (host, port):
        async with await Caller.connect(host, port, described=False) as caller:
            await caller.send(ASKED)
            await caller.reader.readexactly(100_000)
            caller.writer.transport.abort()
        async with await Caller.connect(host, port, described=False) as caller:
            await caller.send(ASKED)
            assert len((await caller.receive()).body) == LARGE
    assert begun == 2


async def test_a_long_answer_is_whole_for_a_caller_who_half_closes_while_it_is_written() -> None:
    """However long after the request: a caller who reads on has not left."""

    async def answer(_: web.BaseRequest) -> web.Response:
        return web.Response(body=b"x" * LARGE)

    async with (
        serving(answer, half_close_seconds=0.0) as (host, port),
        await Caller.connect(host, port, described=False) as caller,
    ):
        await caller.send(ASKED)
        first = await caller.reader.readexactly(100_000)
        caller.writer.write_eof()
        head, _, body = (first + await caller.rest()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert len(body) == LARGE


async def test_an_answer_that_is_still_read_is_waited_for_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that closes sends what it has begun to send."""
    monkeypatch.setattr(server, "FLUSH_SECONDS", PATIENCE)
    async with running(HeldUpstream(text="x" * LARGE)) as sidecar, await sidecar.call() as caller:
        await caller.send(post())
        length = (await caller.reader.readuntil(b"\r\n\r\n")).lower().partition(b"content-length: ")[2]
        closing = asyncio.create_task(sidecar.listening.close())
        await asyncio.wait({closing}, timeout=0.2)
        assert not closing.done()
        body = await caller.reader.readexactly(int(length.split(b"\r\n")[0]))
        assert len(body) > LARGE
        await closing
