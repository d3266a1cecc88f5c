"""Promises of starting and stopping: where it listens, what it still answers while draining, how soon it is gone."""

import asyncio
import resource
import socket
import time

import pytest

from sidecar.core.errors import ConfigError
from sidecar.http.server import server
from sidecar.http.server.listener import listen, raise_descriptor_limit
from sidecar.http.server.server import serve
from tests.support.held_provider import HeldUpstream
from tests.support.http_sidecar import CHAT, PATIENCE, Caller, head, post, running, settings_of
from tests.support.protocol_requests import GET_HEALTH


def ipv6() -> bool:
    """Whether this machine has IPv6; containers often have none."""
    try:
        listen("::1", 0).close()
    except ConfigError:
        return False
    return True


async def test_draining_refuses_new_work_and_finishes_what_was_accepted() -> None:
    """The caller who waits gets the answer; the next is told to come back; monitors see it."""
    upstream = HeldUpstream(held=True)
    async with running(upstream) as sidecar, await sidecar.call() as accepted:
        await accepted.send(post())
        await upstream.reached()
        drained = asyncio.create_task(sidecar.listening.drain(PATIENCE))
        while (health := await sidecar.fetch(GET_HEALTH)).status == 200:
            pass
        assert health.json["status"] == "draining"
        refused = await sidecar.fetch(post())
        assert (refused.status, refused.json["code"]) == (200, "shutting_down")
        assert refused.headers["connection"] == "close"
        assert not drained.done()
        upstream.gate.set()
        answer = await accepted.receive()
        assert answer.json["success"]
        assert answer.headers["connection"] == "close"
        await drained


async def test_draining_is_503_for_callers_who_read_the_status() -> None:
    """STRICT_STATUS tells the truth here too."""
    async with running(STRICT_STATUS="true") as sidecar:
        await sidecar.listening.drain(0)
        assert (await sidecar.fetch(post())).status == 503


async def test_what_outlasts_the_grace_hears_that_it_is_over() -> None:
    """At the end of the grace a caller gets `shutting_down` and not a dead connection."""
    upstream = HeldUpstream(held=True)
    async with running(upstream) as sidecar, await sidecar.call() as accepted:
        await accepted.send(post())
        await upstream.reached()
        await sidecar.listening.drain(0.05)
        assert (await accepted.receive()).json["code"] == "shutting_down"


async def test_a_half_sent_body_does_not_hold_up_the_stop() -> None:
    """Its sender hears `shutting_down` at the end of the grace."""
    async with running() as sidecar, await sidecar.call() as caller:
        await caller.send(head("Content-Type: application/json", "Content-Length: 99", "Expect: 100-continue"))
        assert (await caller.receive()).status == 100
        await sidecar.listening.drain(0.05)
        assert (await caller.receive()).json["code"] == "shutting_down"


async def test_a_body_that_comes_while_draining_is_still_answered() -> None:
    """A caller with a place may finish sending the request."""
    async with running() as sidecar, await sidecar.call() as caller:
        await caller.send(
            head("Content-Type: application/json", f"Content-Length: {len(CHAT)}", "Expect: 100-continue")
        )
        assert (await caller.receive()).status == 100
        async with asyncio.TaskGroup() as group:
            group.create_task(sidecar.listening.drain(PATIENCE))
            await caller.send(CHAT)
            assert (await caller.receive()).json["success"]


@pytest.mark.parametrize("asked_first", [True, False])
async def test_who_connected_just_before_the_end_is_answered(*, asked_first: bool) -> None:
    """The kernel would reset who waits in the backlog: all 100 hear `shutting_down`, early ones and late ones."""
    # A busy machine needs more than the half second of real ends for 100 callers.
    async with running(timings={"last_request_seconds": PATIENCE}) as sidecar:
        await sidecar.listening.drain(0)
        # In one turn of the loop: nobody is accepted before it goes on.
        address = (sidecar.listening.host, sidecar.listening.port)
        socks = [socket.create_connection(address) for _ in range(100)]
        if asked_first:
            for sock in socks:
                sock.sendall(post())
        closing = asyncio.create_task(sidecar.listening.close())
        callers = [Caller(*await asyncio.open_connection(sock=sock)) for sock in socks]
        for caller in callers:
            if asked_first:
                caller.said.add(post())
            else:
                await caller.send(post())
        for caller in callers:
            assert (await caller.receive()).json["code"] == "shutting_down"
            await caller.leave()
        await closing


async def test_the_backlog_of_a_shared_socket_is_left_to_the_others() -> None:
    """A caller who waits there when the server ends is served by the other process with the socket."""
    sock = socket.create_server(("127.0.0.1", 0))
    async with running() as sidecar:
        async with serve(sidecar.service, settings_of(), sock=sock.dup()) as listening:
            waiting = socket.create_connection((listening.host, listening.port))
        async with (
            serve(sidecar.service, settings_of(), sock=sock),
            Caller(*await asyncio.open_connection(sock=waiting)) as caller,
        ):
            await caller.send(post())
            assert (await caller.receive()).json["success"]


async def test_leaving_ends_idle_and_half_sent_connections_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections without a request delay nothing: idle, silent, half-sent and refused ones."""
    # So that waiting for any of them would be seen.
    monkeypatch.setattr(server, "FLUSH_SECONDS", PATIENCE)
    async with running(timings={"last_request_seconds": 0.01}, MAX_BODY_BYTES="2048") as sidecar:
        idle, silent, half, refused = [await sidecar.call() for _ in range(4)]
        await idle.send(GET_HEALTH)
        await idle.receive()
        await half.send(b"POST /ai HT")
        await refused.send(head("Content-Type: application/json", "Content-Length: 5000"))
        assert (await refused.receive()).status == 413
        started = time.monotonic()
    assert time.monotonic() - started < PATIENCE / 2
    assert (await half.receive()).status == 408
    for caller in (idle, silent, half, refused):
        assert await caller.rest() == b""
        await caller.leave()


async def test_an_idle_connection_does_not_hold_up_the_end() -> None:
    """Who was answered before is not waited for: it could have asked."""
    async with running(timings={"last_request_seconds": PATIENCE}) as sidecar:
        idle = await sidecar.call()
        await idle.send(GET_HEALTH)
        await idle.receive()
        started = time.monotonic()
    assert time.monotonic() - started < PATIENCE / 2
    await idle.leave()


async def test_leaving_without_draining_ends_what_is_under_way() -> None:
    """A second signal ends it now: twice FLUSH_SECONDS later the provider call is over too."""
    upstream = HeldUpstream(held=True)
    async with running(upstream) as sidecar:
        caller = await sidecar.call()
        await caller.send(post())
        await upstream.reached()
    assert upstream.left.is_set()
    await caller.leave()


async def test_after_the_block_nobody_listens() -> None:
    """The port is free for the successor."""
    async with running() as sidecar:
        host, port = sidecar.listening.host, sidecar.listening.port
    with pytest.raises(ConnectionRefusedError):
        await Caller.connect(host, port)
    listen(host, port).close()


async def test_connections_go_on_when_nothing_new_is_accepted() -> None:
    """For a successor on the same socket: the old process serves out who is connected."""
    async with running() as sidecar, await sidecar.call() as caller:
        await caller.send(GET_HEALTH)
        await caller.receive()
        sidecar.listening.stop_accepting()
        await caller.send(post())
        assert (await caller.receive()).json["success"]


async def test_a_port_in_use_is_a_clear_fault() -> None:
    """The administrator reads which setting to change."""
    async with running() as sidecar:
        settings = settings_of(PORT=str(sidecar.listening.port))
        with pytest.raises(ConfigError, match=rf"PORT={sidecar.listening.port}: .* listens on"):
            async with serve(sidecar.service, settings):
                pass


async def test_an_address_of_another_machine_is_a_clear_fault() -> None:
    """192.0.2.1 is nobody's (RFC 5737)."""
    with pytest.raises(ConfigError, match=r"HOST=192\.0\.2\.1: this machine has no such address"):
        listen("192.0.2.1", 0)


@pytest.mark.parametrize(
    ("host", "url"), [("::1", "http://[::1]:"), ("localhost", "http://127.0.0.1:"), ("127.0.0.9", "http://127.0.0.9:")]
)
async def test_it_listens_where_host_says(host: str, url: str) -> None:
    """IPv6 literals too; the URL is one that can be called."""
    if host == "::1" and not ipv6():
        pytest.skip("no IPv6 here")
    async with running(HOST=host) as sidecar:
        assert sidecar.listening.url.startswith(url)
        assert sidecar.listening.port > 0
        assert (await sidecar.fetch(GET_HEALTH)).status == 200


async def test_everywhere_in_ipv6_means_ipv4_too() -> None:
    """HOST=:: is what IPv6 administrators write for "all"."""
    if not ipv6():
        pytest.skip("no IPv6 here")
    async with (
        running(HOST="::", ALLOW_UNAUTHENTICATED="true") as sidecar,
        await Caller.connect("127.0.0.1", sidecar.listening.port) as caller,
    ):
        await caller.send(GET_HEALTH)
        assert (await caller.receive()).status == 200


async def test_a_given_socket_is_served_and_closed() -> None:
    """An inherited socket needs no HOST and no PORT."""
    async with running() as sidecar:
        sock = socket.create_server(("127.0.0.1", 0))
        async with serve(sidecar.service, settings_of(PORT="1"), sock=sock) as listening:
            assert listening.port == sock.getsockname()[1]
            async with await Caller.connect(listening.host, listening.port) as caller:
                await caller.send(post())
                assert (await caller.receive()).json["success"]
    with pytest.raises(ConnectionRefusedError):
        await Caller.connect(listening.host, listening.port)


async def test_a_burst_finds_room_in_the_backlog_and_descriptors() -> None:
    """Several hundred callers connect before one is accepted, and all are served."""
    assert raise_descriptor_limit() == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    async with running() as sidecar:
        answers = await asyncio.gather(*(sidecar.fetch(post()) for _ in range(300)))
    assert all(answer.json["success"] for answer in answers)
