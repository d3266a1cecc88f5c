"""Promises of one connection's times: for headers, between requests, and the stamp of each arrival."""

import asyncio
import time

from aiohttp import web

from sidecar.http.request import Arrival
from sidecar.http.responses.envelope import json_response
from tests.support.held_provider import HeldUpstream
from tests.support.http_sidecar import Caller, head, post, running, serving
from tests.support.protocol_requests import GET_HEALTH, check_refusal


async def test_half_sent_headers_are_408() -> None:
    """Who holds a connection without asking anything is told so and let go."""
    async with running(timings={"header_seconds": 0.05}) as sidecar, await sidecar.call() as caller:
        await caller.send(b"POST /ai HTTP/1.1\r\nHost:")
        check_refusal(await caller.receive(), 408, "request_timeout")
        assert await caller.rest() == b""


async def test_half_sent_headers_on_a_reused_connection_are_408() -> None:
    """The time counts from the first byte of each request."""
    async with running(timings={"header_seconds": 0.05}) as sidecar, await sidecar.call() as caller:
        await caller.send(GET_HEALTH)
        assert (await caller.receive()).status == 200
        await caller.send(b"\r\nGET /hea")
        check_refusal(await caller.receive(), 408, "request_timeout")
        assert await caller.rest() == b""


async def test_half_sent_headers_behind_a_request_are_408_after_its_answer() -> None:
    """A request in work does not stop the clock of the next for good."""
    upstream = HeldUpstream(held=True)
    async with running(upstream, timings={"header_seconds": 0.05}) as sidecar, await sidecar.call() as caller:
        await caller.send(post())
        await upstream.reached()
        await caller.send(b"GET /hea")
        upstream.gate.set()
        assert (await caller.receive()).json["success"]
        check_refusal(await caller.receive(), 408, "request_timeout")


async def test_headers_in_time_are_served_however_slow_the_answer() -> None:
    """The headers' time ends with the headers."""
    upstream = HeldUpstream(held=True)
    async with (
        running(upstream, timings={"header_seconds": 0.05}) as sidecar,
        await sidecar.call() as caller,
        await sidecar.call() as silent,
    ):
        await caller.send(post())
        await upstream.reached()
        assert await silent.rest() == b""  # that long, the time for headers has passed
        upstream.gate.set()
        assert (await caller.receive()).json["success"]


async def test_a_connection_that_says_nothing_is_closed_without_a_word() -> None:
    """Nothing was asked, so nothing is answered."""
    async with running(timings={"header_seconds": 0.05}) as sidecar, await sidecar.call() as caller:
        assert await caller.rest() == b""


async def test_an_idle_reused_connection_is_closed_without_a_word() -> None:
    """A reply that nobody asked for would be taken for the next request's."""
    async with running(timings={"idle_seconds": 0.05}) as sidecar, await sidecar.call() as caller:
        await caller.send(GET_HEALTH)
        assert (await caller.receive()).status == 200
        assert await caller.rest() == b""


async def test_requests_are_stamped_when_they_arrive() -> None:
    """The first at accept, a later one at its first byte, a pipelined one when its turn comes."""
    stamps: list[float] = []
    gate = asyncio.Event()

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        assert isinstance(request, Arrival)
        stamps.append(request.arrived)
        if request.path == "/held":
            await gate.wait()
        return json_response(b"{}")

    async with serving(answer) as (host, port), await Caller.connect(host, port, described=False) as caller:
        await caller.send(head(path="/held", method="GET") + GET_HEALTH)
        connected = time.monotonic()
        async with serving(answer, header_seconds=0.05) as other, await Caller.connect(*other) as silent:
            await silent.rest()  # lets some time pass
        released = time.monotonic()
        gate.set()
        await caller.receive()
        await caller.receive()
        half, rest = GET_HEALTH[:9], GET_HEALTH[9:]
        idle = time.monotonic()
        await caller.send(half)
        async with serving(answer, header_seconds=0.05) as other, await Caller.connect(*other) as silent:
            await silent.rest()
        completed = time.monotonic()
        await caller.send(rest)
        await caller.receive()
    first, pipelined, later = stamps
    assert first <= connected + 0.02
    assert pipelined >= released
    assert idle <= later < completed


async def test_line_ends_between_requests_start_no_clock() -> None:
    """Old clients send one too many; it is no request."""
    stamps: list[float] = []

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        assert isinstance(request, Arrival)
        stamps.append(request.arrived)
        return json_response(b"{}")

    async with serving(answer) as (host, port), await Caller.connect(host, port, described=False) as caller:
        await caller.send(GET_HEALTH)
        await caller.receive()
        await caller.send(b"\r\n")
        async with serving(answer, header_seconds=0.05) as other, await Caller.connect(*other) as silent:
            await silent.rest()
        asked = time.monotonic()
        await caller.send(GET_HEALTH)
        await caller.receive()
    assert stamps[1] >= asked
