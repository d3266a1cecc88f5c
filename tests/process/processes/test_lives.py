"""Promises about the lives of serving processes: killed, stopped, reloaded, and what becomes of their callers."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from sidecar.demo.options import Options
from sidecar.demo.provider import Demo
from sidecar.demo.server import serve
from tests.support.http_sidecar import Caller, post
from tests.support.process_family import children, connections, gone
from tests.support.server_process import Served, served
from tests.support.steady_load import HEIR, load


async def reply(caller: Caller, content: str, action: str = "chat") -> bool | None:
    """Return whether a request on this connection succeeded; None without a reply."""
    await caller.send(post(f'{{"action": "{action}", "content": "{content}"}}'.encode()))
    try:
        return bool((await caller.receive()).json["success"])
    except (OSError, EOFError):
        return None


@pytest.fixture
async def callers(server: Served) -> AsyncIterator[list[Caller]]:
    """Twenty open connections, of which each process has some."""
    opened = await asyncio.gather(*(server.call() for _ in range(20)))
    for caller in opened:
        assert await reply(caller, "Hello")
    yield opened
    for caller in opened:
        await caller.leave()


async def test_a_killed_process_costs_its_own_callers_alone(server: Served, demo: Demo, callers: list[Caller]) -> None:
    """`kill -9` in the middle: the other's callers are answered, no slot or place is lost, and it comes back."""
    before = demo.stats.received
    waiting = [asyncio.create_task(reply(caller, f"[demo latency=2] {n}")) for n, caller in enumerate(callers)]
    await demo.until(lambda stats: stats.in_flight == 20)
    victim = children(server)[0]
    its = connections(server)[victim]
    os.kill(victim, signal.SIGKILL)
    replies = await asyncio.gather(*waiting)
    lost = {
        caller.writer.get_extra_info("sockname")[1] for caller, found in zip(callers, replies, strict=True) if not found
    }
    assert lost == its
    assert 0 < len(lost) < 20
    await server.event("process_ended", how="SIGKILL")
    await demo.until(lambda stats: stats.in_flight == 0)
    assert (await server.chat("Afterwards"))["success"]
    status = (await server.get("/status")).json
    assert (status["places"]["now"], status["bytes"]["now"], status["slots"]["running"]) == (0, 0, 0)
    assert demo.stats.received == before + 21


@pytest.mark.long(alone=True)
@pytest.mark.parametrize("victim", [0, 1])
async def test_shared_work_outlives_the_process_that_began_it(
    server: Served, demo: Demo, callers: list[Caller], victim: int
) -> None:
    """All read one page: whichever process is killed, the other's callers have the answer."""
    page = "[demo latency=2] One page for all"
    waiting = [asyncio.create_task(reply(caller, page, "summarize")) for caller in callers]
    await demo.until(lambda stats: stats.in_flight == 1)
    killed = children(server)[victim]
    its = connections(server)[killed]
    os.kill(killed, signal.SIGKILL)
    replies = await asyncio.gather(*waiting)
    lost = {
        caller.writer.get_extra_info("sockname")[1] for caller, found in zip(callers, replies, strict=True) if not found
    }
    assert lost == its
    assert replies.count(True) == 20 - len(its)


@pytest.mark.long(alone=True)
async def test_a_process_stopped_alone_is_replaced_and_fails_no_request(server: Served) -> None:
    """SIGTERM to one process: the other takes new connections, accepted ones are answered, a new one follows."""
    async with load((server.host, server.port), 8) as callers:
        await callers.goes_on(20)
        os.kill(children(server)[0], signal.SIGTERM)
        await server.event("process_ended", how="exit code 0")
        await callers.goes_on(60)
    assert callers.failed == []


async def test_a_signal_without_a_meaning_ends_no_process(server: Served, demo: Demo) -> None:
    """Sent to the parent and to each process, in the middle of a call: every answer comes, and no process is new."""
    family = children(server)
    slow = [asyncio.create_task(server.chat(f"[demo latency=1] {n}")) for n in range(4)]
    await demo.until(lambda stats: stats.in_flight == 4)
    numbers = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM)
    for process in (server.process.pid, *family):
        for number in numbers:
            os.kill(process, number)
    # The parent says what its processes say.
    await server.until(lambda log: [line["event"] for line in log].count("signal_ignored") == 3 * len(numbers))
    assert all(found["success"] for found in await asyncio.gather(*slow))
    assert children(server) == family


async def test_sigterm_drains_both(server: Served, demo: Demo) -> None:
    """Accepted calls are answered, newcomers hear `shutting_down`, and no process is left behind."""
    family = children(server)
    slow = [asyncio.create_task(server.chat(f"[demo latency=1.5] {n}")) for n in range(6)]
    await demo.until(lambda stats: stats.in_flight == 6)
    server.process.send_signal(signal.SIGTERM)
    await server.event("stopping")
    await asyncio.sleep(0)
    late = [(await server.chat(f"Late {n}")) for n in range(4)]
    assert {found["code"] for found in late if not found["success"]} <= {"shutting_down"}
    assert all(found["success"] for found in await asyncio.gather(*slow))
    assert await server.ended() == 0
    assert all(map(gone, family))


@pytest.mark.long(alone=True)
async def test_the_grace_has_an_end(demo: Demo) -> None:
    """What is not finished within SHUTDOWN_GRACE hears so, and all processes end."""
    words = (f"--base-url={demo.url}/v1", "--api-key=k", "--shutdown-grace=0.2", "--processes=2")
    async with served(*words) as server:
        stalled = [asyncio.create_task(server.chat(f"[demo stall=1] {n}")) for n in range(6)]
        await demo.until(lambda stats: stats.in_flight == 6)
        server.process.send_signal(signal.SIGTERM)
        assert {(await one)["code"] for one in stalled} == {"shutting_down"}
        assert await server.ended() == 0
    await demo.until(lambda stats: stats.in_flight == 0)


@pytest.mark.long(alone=True)
async def test_a_killed_parent_leaves_nothing_behind(server: Served) -> None:
    """`kill -9` of the parent ends the serving processes too, and frees the port for the next start."""
    family = children(server)
    server.process.kill()
    await server.ended()
    async with served("--demo", f"--port={server.port}", "--processes=2") as again:
        assert (await again.get("/health")).status == 200
        assert all(map(gone, family))


async def test_sighup_reaches_all_processes(demo: Demo, tmp_path: Path) -> None:
    """A new PROVIDERS_FILE holds for all: later calls go where it says, from each process."""
    file, table = tmp_path / "providers.toml", '[[provider]]\nname = "{}"\nbase_url = "{}/v1"\nmodel = "demo"\n'
    file.write_text(table.format("old", demo.url))
    async with serve(Options(), keep=1000) as other, served("--processes=2", PROVIDERS_FILE=str(file)) as server:
        assert (await server.chat("Before"))["success"]
        file.write_text(table.format("new", other.url))
        server.process.send_signal(signal.SIGHUP)
        await server.event("providers_read")
        replies = await asyncio.gather(*(server.chat(f"After {n}") for n in range(20)))
        assert all(found["success"] for found in replies)
        assert (demo.stats.received, other.stats.received) == (1, 20)


@pytest.mark.long(alone=True)
async def test_a_restart_on_a_socket_of_the_service_manager_fails_no_request(demo: Demo) -> None:
    """The new server is up, the old one gets SIGTERM, under load: every call succeeds."""
    with socket.create_server(("127.0.0.1", 0)) as shared:
        words = (f"--base-url={demo.url}/v1", "--api-key=k", "--processes=2")
        async with AsyncExitStack() as servers:
            old = await servers.enter_async_context(served(*words, shell=HEIR, stdin=shared))
            async with load(shared.getsockname(), 8) as callers:
                await callers.goes_on(20)
                await servers.enter_async_context(served(*words, shell=HEIR, stdin=shared))
                old.process.send_signal(signal.SIGTERM)
                assert await old.ended() == 0
                await callers.goes_on(40)
        assert callers.failed == []
