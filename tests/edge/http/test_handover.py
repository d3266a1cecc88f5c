"""Promises of a handover: with an inherited socket nobody is refused, neither who was accepted nor who comes next."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sidecar.core.errors import ConfigError
from sidecar.http.server import server
from sidecar.http.server.server import Listening, serve
from sidecar.http.server.socket_activation import inherited
from sidecar.service import service_of
from tests.support.held_provider import HeldUpstream
from tests.support.http_sidecar import CHAT, PATIENCE, Caller, head, post, running, settings_of
from tests.support.protocol_requests import GET_HEALTH


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A handover that waited for what it should not wait for would be seen."""
    monkeypatch.setattr(server, "FIRST_REQUEST_SECONDS", 2 * PATIENCE)


@asynccontextmanager
async def on(sock: socket.socket, upstream: HeldUpstream) -> AsyncIterator[Listening]:
    """A process on a shared socket, as far as its callers can tell."""
    settings = settings_of()
    async with serve(service_of(settings, upstream), settings, sock=sock.dup()) as listening:
        yield listening


async def test_who_was_accepted_and_said_nothing_yet_is_answered() -> None:
    """The caller's request is on its way: it is served and not refused, and the connection ends with it."""
    async with running() as sidecar, await sidecar.call() as fresh, await sidecar.call() as half:
        await half.send(post()[:20])
        await sidecar.fetch(GET_HEALTH)  # once this one is answered, those before it were accepted
        async with asyncio.TaskGroup() as group:
            group.create_task(sidecar.listening.hand_over(PATIENCE))
            await asyncio.sleep(0)
            await half.send(post()[20:])
            await fresh.send(post())
            for caller in (half, fresh):
                assert (await caller.receive()).json["success"]
                assert await caller.rest() == b""


async def test_a_handover_is_healthy_to_the_last() -> None:
    """A monitor that reaches the old process must not call the service down while the new one serves."""
    async with running() as sidecar, await sidecar.call() as monitor:
        await sidecar.fetch(GET_HEALTH)
        async with asyncio.TaskGroup() as group:
            group.create_task(sidecar.listening.hand_over(PATIENCE))
            await asyncio.sleep(0)
            await monitor.send(GET_HEALTH)
            assert (await monitor.receive()).status == 200


async def test_reused_connections_end_with_their_answer_and_idle_ones_at_once() -> None:
    """No request more comes on them, and the handover waits for no timeout of theirs."""
    upstream = HeldUpstream(held=True)
    async with running(upstream) as sidecar, await sidecar.call() as busy, await sidecar.call() as idle:
        await idle.send(GET_HEALTH)
        assert "connection" not in (await idle.receive()).headers
        await busy.send(post())
        await upstream.reached()
        async with asyncio.TaskGroup() as group:
            handing = group.create_task(sidecar.listening.hand_over(PATIENCE))
            assert await idle.rest() == b""
            assert not handing.done()
            upstream.gate.set()
            answer = await busy.receive()
            assert answer.json["success"]
            assert answer.headers["connection"] == "close"


async def test_what_a_reused_connection_has_sent_is_answered() -> None:
    """What lies in the kernel when the signal comes was taken on by the connection."""
    async with running() as sidecar, await sidecar.call() as kept:
        await kept.send(GET_HEALTH)
        await kept.receive()
        kept.write(post())
        await sidecar.listening.hand_over(PATIENCE)
        assert (await kept.receive()).json["success"]


async def test_requests_sent_in_one_go_are_all_answered() -> None:
    """Pipelining: the connection ends after the last of them."""
    upstream = HeldUpstream(held=True)
    async with running(upstream) as sidecar, await sidecar.call() as caller:
        await caller.send(post() + GET_HEALTH)
        await upstream.reached()
        async with asyncio.TaskGroup() as group:
            group.create_task(sidecar.listening.hand_over(PATIENCE))
            for _ in range(3):  # its start, and the two turns in which it reads what the kernel has
                await asyncio.sleep(0)
            upstream.gate.set()
            assert (await caller.receive()).json["success"]
            assert (await caller.receive()).headers["connection"] == "close"


async def test_a_silent_connection_holds_up_the_end_for_a_stated_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who says nothing is let go, who said half hears so."""
    monkeypatch.setattr(server, "FIRST_REQUEST_SECONDS", 0.05)
    async with running() as sidecar, await sidecar.call() as silent, await sidecar.call() as half:
        await half.send(b"POST /ai HT")
        await sidecar.fetch(GET_HEALTH)
        async with asyncio.TaskGroup() as group:
            group.create_task(sidecar.listening.hand_over(PATIENCE))
            assert (await half.receive()).status == 408
            assert await silent.rest() == b""


async def test_a_refused_caller_who_stays_does_not_hold_up_the_end() -> None:
    """The caller has the answer; the end does not wait for the caller's close."""
    async with running(MAX_BODY_BYTES="2048") as sidecar, await sidecar.call() as refused:
        await refused.send(head("Content-Type: application/json", "Content-Length: 5000"))
        assert (await refused.receive()).status == 413
        async with asyncio.timeout(PATIENCE):
            await sidecar.listening.hand_over(2 * PATIENCE)


async def test_what_outlasts_the_grace_hears_that_it_is_over() -> None:
    """A handover ends in time too, and nobody is left with a dead connection."""
    upstream = HeldUpstream(held=True)
    async with running(upstream) as sidecar, await sidecar.call() as caller, await sidecar.call() as body:
        await caller.send(post())
        await upstream.reached()
        await body.send(head("Content-Type: application/json", f"Content-Length: {len(CHAT)}", "Expect: 100-continue"))
        assert (await body.receive()).status == 100
        await sidecar.listening.hand_over(0.05)
        assert (await caller.receive()).json["code"] == "shutting_down"
        assert (await body.receive()).json["code"] == "shutting_down"


async def test_newcomers_wait_for_the_successor() -> None:
    """The kernel holds them from the signal on; the next process on the socket answers them."""
    with socket.create_server(("127.0.0.1", 0)) as shared:
        address = shared.getsockname()
        async with on(shared, HeldUpstream(text="old")) as old:
            await old.hand_over(PATIENCE)
        async with await Caller.connect(*address) as newcomer:
            await newcomer.send(post())
            async with on(shared, HeldUpstream(text="new")):
                assert (await newcomer.receive()).json["data"] == "new"


async def test_nobody_is_lost_between_two_processes() -> None:
    """At whatever moment of its accepting the old one hears the signal, each caller is one's or the other's."""
    with socket.create_server(("127.0.0.1", 0)) as shared:
        for turns in range(8):
            callers = [await Caller.connect(*shared.getsockname()) for _ in range(100)]
            for caller in callers:
                caller.write(post())
            async with on(shared, HeldUpstream(text="old")) as old:
                for _ in range(turns):
                    await asyncio.sleep(0)
                await old.hand_over(PATIENCE)
            async with on(shared, HeldUpstream(text="new")):
                answers = await asyncio.gather(*(caller.receive() for caller in callers))
            assert {answer.json["data"] for answer in answers} <= {"old", "new"}
            for caller in callers:
                await caller.leave()


async def test_a_passed_socket_becomes_ours() -> None:
    """It blocks nobody, and no child of ours holds it open."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        sock = inherited(1, first=listening.dup().detach())
        assert sock is not None
        with sock:
            assert sock.getsockname() == listening.getsockname()
            assert (sock.gettimeout(), sock.get_inheritable()) == (0, False)


async def test_none_is_no_fault() -> None:
    """Without a passed socket HOST and PORT count."""
    assert inherited(0) is None


async def test_two_sockets_are_a_clear_fault() -> None:
    """Better than to serve one of them and leave the other's callers waiting."""
    with pytest.raises(ConfigError, match=r"^LISTEN_FDS=2: one listening socket is served"):
        inherited(2)


async def test_what_does_not_listen_is_a_clear_fault(tmp_path: Path) -> None:
    """A connection (Accept=yes), a datagram socket, a file, nothing at all."""
    near, far = socket.socketpair()
    datagram = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with near, far, datagram, (tmp_path / "file").open("w") as file:
        for source in (near, datagram):
            with pytest.raises(ConfigError, match="does not listen"):
                inherited(1, first=source.dup().detach())
        with pytest.raises(ConfigError, match="is no socket"):
            inherited(1, first=file.fileno())
    with pytest.raises(ConfigError, match="is no socket"):
        inherited(1, first=1_000_000)


async def test_a_unix_socket_can_be_passed_too(tmp_path: Path) -> None:
    """nginx on the same machine needs no port; the log says the address as nginx writes it."""
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as shared:
        shared.bind(path)
        shared.listen()
        async with on(shared, HeldUpstream()) as listening:
            assert listening.url == f"http://unix:{path}:"
            async with Caller(*await asyncio.open_unix_connection(path)) as caller:
                await caller.send(post())
                assert (await caller.receive()).json["success"]
