"""Promises of a restart on a shared listening socket: callers notice nothing meanwhile."""

import asyncio
import signal
import socket
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack

import pytest

from sidecar.demo.options import Options
from sidecar.demo.provider import Demo
from sidecar.demo.server import serve
from tests.support.http_sidecar import post
from tests.support.paths import ROOT
from tests.support.server_process import PATIENCE, Served, served
from tests.support.steady_load import HEIR, REQUEST, load


@pytest.fixture
async def demo() -> AsyncIterator[Demo]:
    async with serve(Options(latency=0.05)) as running:
        yield running


@pytest.fixture
async def shared() -> AsyncIterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


def heir(shared: socket.socket, demo: Demo, *words: str) -> AbstractAsyncContextManager[Served]:
    """The command on the shared socket."""
    return served(f"--base-url={demo.url}/v1", "--api-key=k", *words, shell=HEIR, stdin=shared)


async def test_an_inherited_socket_is_served_whatever_port_is_set(shared: socket.socket, demo: Demo) -> None:
    """The unit's --port does no harm, and the log says that it does nothing."""
    async with heir(shared, demo, "--port=1") as server:
        assert (server.host, server.port) == shared.getsockname()
        assert "PORT" in (await server.event("inherited"))["note"]
        assert (await server.chat("Hello"))["success"]


async def test_a_restart_with_a_successor_fails_no_request(shared: socket.socket, demo: Demo) -> None:
    """The new one is up, the old one gets SIGTERM, three times over and under load: every call succeeds."""
    async with AsyncExitStack() as processes:
        old = await processes.enter_async_context(heir(shared, demo))
        async with load(shared.getsockname(), 32) as callers:
            await callers.goes_on(100)
            for _ in range(3):
                new = await processes.enter_async_context(heir(shared, demo))
                await callers.goes_on(50)
                old.process.send_signal(signal.SIGTERM)
                assert await old.ended() == 0
                await callers.goes_on(100)
                old = new
    assert callers.failed == []


async def test_a_restart_without_a_successor_fails_no_request(shared: socket.socket, demo: Demo) -> None:
    """systemd's order: the old one ends, then the new one starts; newcomers wait in the backlog meanwhile."""
    async with AsyncExitStack() as processes:
        old = await processes.enter_async_context(heir(shared, demo))
        async with load(shared.getsockname(), 4) as callers:
            await callers.goes_on(20)
            old.process.send_signal(signal.SIGTERM)
            assert await old.ended() == 0
            await processes.enter_async_context(heir(shared, demo))
            await callers.goes_on(20)
    assert callers.failed == []


async def test_the_old_process_ends_as_soon_as_its_callers_have_their_answers(
    shared: socket.socket, demo: Demo
) -> None:
    """A caller who is slow is waited for, one who has just been accepted is heard, and then the exit code is 0."""
    async with heir(shared, demo) as server, await server.call() as silent:
        slow = asyncio.create_task(server.chat("Slow [demo latency=1]"))
        await demo.until(lambda stats: stats.in_flight == 1)
        server.process.send_signal(signal.SIGTERM)
        await server.event("stopping")
        await silent.send(REQUEST)
        assert (await silent.receive()).json["success"]
        assert (await slow)["success"]
        assert await server.ended() == 0


async def test_a_second_signal_ends_a_handover_now(shared: socket.socket, demo: Demo) -> None:
    """An administrator in a hurry does not wait for the grace."""
    async with heir(shared, demo) as server, await server.call() as caller:
        await caller.send(post(b'{"action": "chat", "content": "[demo stall=1]"}'))
        await demo.until(lambda stats: stats.in_flight == 1)
        server.process.send_signal(signal.SIGTERM)
        await server.event("stopping")
        server.process.send_signal(signal.SIGTERM)
        assert await server.ended() == 128 + signal.SIGTERM


async def test_two_passed_sockets_stop_it_at_once(shared: socket.socket) -> None:
    """Exit code 2 and one line, as for a setting that makes no sense."""
    shell = HEIR.replace("LISTEN_FDS=1", "LISTEN_FDS=2")
    command = ("/bin/sh", "-c", shell, "sh", sys.executable, "-m", "sidecar", "--http-mode", "--demo")
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env={}, stdin=shared, stderr=PIPE)  # type: ignore[arg-type]
    async with asyncio.timeout(PATIENCE):
        _, said = await process.communicate()
    assert process.returncode == 2
    assert said.decode().splitlines()[-1].startswith("openai-moodle-sidecar: LISTEN_FDS=2: ")
