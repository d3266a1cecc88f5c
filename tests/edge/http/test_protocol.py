"""Promises of one connection: whatever is wrong with the HTTP itself is answered in the envelope."""

import asyncio
import socket

import pytest
from aiohttp import web

from sidecar.http.app import application
from sidecar.http.request import Arrival
from sidecar.http.router import Route, Routes
from sidecar.service import service_of
from tests.support.held_provider import HeldUpstream
from tests.support.http_sidecar import CHAT, PATIENCE, Caller, head, post, running, serving, settings_of
from tests.support.protocol_requests import GET_HEALTH, check_refusal


@pytest.mark.parametrize("path", ["/", "/ai/", "//ai", "/AI", "/v2/chat/completions", "/%00", "/%ff", "*x"])
async def test_an_unknown_address_is_404(path: str) -> None:
    """In the envelope, whatever the method."""
    async with running() as sidecar:
        if path.startswith("/"):
            check_refusal(await sidecar.fetch(head(path=path, method="GET")), 404, "not_found")
            check_refusal(await sidecar.fetch(post(path=path)), 404, "not_found")
        else:
            check_refusal(await sidecar.fetch(head(path=path, method="GET")), 400, "bad_request")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"])
async def test_a_wrong_method_is_405_with_the_right_ones(method: str) -> None:
    """Who asks wrongly is told how to ask."""
    async with running() as sidecar:
        answer = await sidecar.fetch(head(method=method))
        check_refusal(answer, 405, "method_not_allowed")
        assert answer.headers["allow"] == "POST"
        assert (await sidecar.fetch(post(path="/health"))).headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET\r\n\r\n", 400),
        (b"GET /health HTTP/1.11\r\nHost: 127.0.0.1\r\n\r\n", 400),
        (b"BREW /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 400),
        (b"GET /health HTTP/1.1\r\n\r\n", 400),
        (b"GET http:// HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 400),
        (b"PRI * HTTP/1.1\r\n\r\nSM\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 500, 400),
        (head("No colon here"), 400),
        (head("Nul: a\x00b"), 400),
        (head("Content-Length: 5", "Content-Length: 6"), 400),
        (head("Content-Length: 5", "Content-Length: 5"), 400),
        (head("Content-Length: -1"), 400),
        (head("Content-Length: 5x"), 400),
        (head("Content-Length: 99999999999999999999999"), 400),
        (head("Content-Length: 5", "Transfer-Encoding: chunked"), 400),
        (head("Long: " + "x" * 100_000), 431),
        (head("X" * 100_000 + ": 1"), 431),
        (head(path="/" + "x" * 100_000), 431),
        (head(*(f"H{n}: 1" for n in range(500))), 431),
    ],
    ids=range(20),
)
async def test_a_protocol_error_is_answered_in_the_envelope(request_: bytes, status: int) -> None:
    """The library's own errors too are JSON, with an id; then the connection ends."""
    async with running() as sidecar, await sidecar.call() as caller:
        await caller.send(request_)
        check_refusal(await caller.receive(), status, "bad_request")
        assert await caller.rest() == b""


async def test_a_protocol_error_behind_a_request_is_answered_after_it() -> None:
    """What was asked properly before gets its answer first."""
    upstream = HeldUpstream(held=True)
    async with running(upstream) as sidecar, await sidecar.call() as caller:
        await caller.send(post())
        await upstream.reached()
        await caller.send(b"nonsense\r\n\r\n")
        upstream.gate.set()
        assert (await caller.receive()).json["success"]
        check_refusal(await caller.receive(), 400, "bad_request")
        assert await caller.rest() == b""


async def test_a_refused_caller_who_goes_on_sending_reads_the_answer() -> None:
    """Megabytes behind a bad request are thrown away: the answer is not lost in a reset."""
    async with running() as sidecar, await sidecar.call() as caller:
        await caller.send(b"nonsense\r\n\r\n" + b"x" * 8_000_000)
        check_refusal(await caller.receive(), 400, "bad_request")
        assert await caller.rest() == b""


async def test_what_a_refused_caller_goes_on_sending_is_taken_for_a_while_only() -> None:
    """After the linger time the connection is closed, even while the caller still sends."""
    async with (
        running(timings={"linger_seconds": 0.05}, MAX_BODY_BYTES="2048") as sidecar,
        await sidecar.call() as caller,
    ):
        await caller.send(head("Content-Type: application/json", "Content-Length: 1000000000"))
        assert (await caller.receive()).status == 413
        with pytest.raises(ConnectionError):
            await caller.flood()


async def test_pipelined_requests_are_answered_in_order() -> None:
    """One connection, three requests at once, three answers."""
    async with running() as sidecar, await sidecar.call() as caller:
        await caller.send(GET_HEALTH + post() + head(path="/nowhere", method="GET"))
        assert (await caller.receive()).json["status"] == "healthy"
        assert (await caller.receive()).json["data"] == "An answer."
        check_refusal(await caller.receive(), 404, "not_found")


async def test_a_fault_in_a_route_is_internal() -> None:
    """What nobody foresaw is answered, with its id and without its words; the connection goes on."""

    async def faulty(_request: Arrival) -> web.Response:
        raise ValueError("canary")

    route = Route("faulty", {"GET": faulty})
    async with (
        serving(application(Routes({"/faulty": route}), service_of(settings_of(), HeldUpstream()))) as (host, port),
        await Caller.connect(host, port) as caller,
    ):
        for _ in range(2):
            await caller.send(head("X-Request-ID: mine", path="/faulty", method="GET"))
            answer = await caller.receive()
            check_refusal(answer, 500, "internal")
            assert answer.headers["x-request-id"] == "mine"
            assert b"canary" not in answer.body


async def test_a_fault_outside_the_routes_is_internal_too() -> None:
    """Even a broken wrapper speaks our JSON."""

    async def broken(_request: web.BaseRequest) -> web.StreamResponse:
        raise ValueError("canary")

    async with serving(broken) as (host, port), await Caller.connect(host, port) as caller:
        await caller.send(GET_HEALTH)
        answer = await caller.receive()
        check_refusal(answer, 500, "internal")
        assert b"canary" not in answer.body


async def test_a_declined_upgrade_is_an_ordinary_request() -> None:
    """Nobody here speaks WebSocket."""
    async with running() as sidecar, await sidecar.call() as caller:
        await caller.send(head("Connection: Upgrade", "Upgrade: websocket", path="/health", method="GET") + GET_HEALTH)
        assert (await caller.receive()).status == 200
        assert (await caller.receive()).status == 200


async def test_old_clients_are_served() -> None:
    """HTTP/1.0 without a Host, and the connection ends with the answer."""
    async with running() as sidecar, await sidecar.call() as caller:
        await caller.send(b"GET /health HTTP/1.0\r\n\r\n")
        assert (await caller.receive()).status == 200
        assert await caller.rest() == b""


async def test_half_sent_requests_leave_the_server_serving_others() -> None:
    """A hundred who stop in the middle take nothing from the next."""
    async with running() as sidecar:
        callers = [await sidecar.call() for _ in range(100)]
        try:
            for number, caller in enumerate(callers):
                await caller.send(post()[: number + 1])
            assert (await sidecar.fetch(post())).json["success"]
        finally:
            for caller in callers:
                await caller.leave()


async def test_a_reset_connection_is_no_fault(caplog: pytest.LogCaptureFixture) -> None:
    """Callers crash; that is no news."""
    upstream = HeldUpstream(held=True)
    async with running(upstream) as sidecar:
        sock = socket.create_connection((sidecar.listening.host, sidecar.listening.port))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        sock.sendall(post(CHAT))
        await upstream.reached()
        sock.close()
        async with asyncio.timeout(PATIENCE):
            await upstream.left.wait()
        assert (await sidecar.fetch(GET_HEALTH)).status == 200
    assert not [record for record in caplog.records if record.levelname in {"WARNING", "ERROR"}]
