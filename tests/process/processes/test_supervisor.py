"""Promises of the supervisor about processes that end again and again."""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator

import pytest

from sidecar.processes import supervisor
from sidecar.processes.block import ALIVE, HELD, Block, open_block
from sidecar.processes.group import Group
from sidecar.processes.lending import Lender
from sidecar.processes.parent import ParentEnd
from sidecar.processes.signs import STUCK_SECONDS
from sidecar.processes.supervisor import MOST_SHORT, ServingProcess
from sidecar.service import service_of
from tests.support.held_provider import HeldUpstream
from tests.support.http_sidecar import settings_of
from tests.support.paths import ROOT


class NoPages:
    async def page(self, message: object) -> object:
        raise AssertionError

    async def feed(self) -> AsyncIterator[bytes]:
        yield b""


@pytest.fixture
async def group(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> AsyncIterator[Group]:
    """A group of one process, whose program is the test's parameter; pauses are short."""
    monkeypatch.setattr(supervisor, "FIRST_PAUSE", 0.01)
    fd = open_block(1)
    block, group = Block(fd, 1), Group()
    block.rows[0][HELD] = 7
    service = service_of(settings_of(), HeldUpstream())
    lender = Lender(service.kernel.calls, service.log, block)
    command = (sys.executable, "-c", request.param)
    with socket.create_server(("127.0.0.1", 0)) as sock:
        process = ServingProcess(0, command, env={}, sock=sock.fileno(), block=(fd, block))

        def end(ready: object, lost: object) -> ParentEnd:
            return ParentEnd(service, NoPages(), lender, ready=ready, lost=lost)  # type: ignore[arg-type]

        async with group.running([process], end):
            yield group
        assert block.rows[0][HELD] == 0
    os.close(fd)


@pytest.mark.parametrize("group", ["import time; time.sleep(60)"], indirect=True)
async def test_a_process_that_stands_still_is_killed(group: Group, monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop without a sign of life serves nobody, though its process lives."""
    monkeypatch.setattr("sidecar.processes.group.SIGN_SECONDS", 0.01)
    process = group.processes[0]
    while not process.pid:  # noqa: ASYNC110 - another process begins
        await asyncio.sleep(0.01)
    first, process.url = process.pid, "http://127.0.0.1:1"
    process._block.rows[0][ALIVE] = int(time.monotonic() - STUCK_SECONDS - 2)
    async with asyncio.timeout(30):
        while process.pid in {0, first}:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.01)
    assert group.restarts == 1


def test_the_parent_does_without_the_servers_libraries() -> None:
    """It neither speaks HTTP nor calls providers: what the serving processes load is not loaded here."""
    heavy = "aiohttp", "openai", "pydantic", "redis", "prometheus_client"
    code = f"import sys, sidecar.several; print([name for name in {heavy} if name in sys.modules])"
    words = (sys.executable, "-c", code)
    assert subprocess.run(words, cwd=ROOT, capture_output=True, check=True).stdout == b"[]\n"


@pytest.mark.parametrize("group", ["raise SystemExit(3)"], indirect=True)
async def test_a_process_that_never_serves_ends_the_service(group: Group, caplog: pytest.LogCaptureFixture) -> None:
    """After five short lives, with its exit code and a sentence that says so."""
    async with asyncio.timeout(30):
        await group.failed.wait()
    assert (group.code, group.restarts) == (3, MOST_SHORT - 1)
    assert caplog.records[-1].msg == "process_failed"
    assert "again and again" in caplog.records[-1].fields["note"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("group", ["raise SystemExit(2)"], indirect=True)
async def test_refused_settings_end_the_service_at_once(group: Group) -> None:
    """Another try would end the same way, and the process has said why."""
    async with asyncio.timeout(30):
        await group.failed.wait()
    assert (group.code, group.restarts) == (2, 0)


@pytest.mark.parametrize("group", ["import time; time.sleep(60)"], indirect=True)
async def test_a_process_that_ignores_the_stop_is_killed(group: Group, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service ends in time, whatever a process does."""
    monkeypatch.setattr("sidecar.processes.group.LAST_SECONDS", 0.1)
    while not group.processes[0].pid:  # noqa: ASYNC110 - another process begins
        await asyncio.sleep(0.01)
    await group.stop(0.0, last=True)
    assert group.processes[0].pid == 0
