"""Promises of the notifications to systemd: what is sent, when, and what happens without a manager or without room."""

import asyncio
import logging
import select
import socket
import time
from contextlib import suppress
from pathlib import Path

import pytest

from sidecar.runtime.systemd import Systemd, notifying
from tests.support.service_manager import service_manager

WATCHDOG = 0.02


@pytest.mark.parametrize("abstract", [False, True])
async def test_a_service_reports_its_life(tmp_path: Path, *, abstract: bool) -> None:
    """Status, readiness once it is loaded, signs of life and the stop, in this order and once each."""
    status = "quiet"
    async with service_manager(tmp_path, abstract=abstract) as manager:
        async with notifying(manager.address, WATCHDOG, lambda: status) as systemd:
            loaded = asyncio.get_running_loop().create_future()
            systemd.ready_after(loaded)
            await manager.line("WATCHDOG=1", 2)
            assert "READY=1" not in manager.lines
            loaded.set_result(None)
            await manager.line("READY=1")
            status = "busy"
            systemd.stopping()
            await manager.line("STOPPING=1")
            await manager.line("WATCHDOG=1", manager.lines.count("WATCHDOG=1") + 1)
        await asyncio.sleep(0)
    lines = [line for line in manager.lines if line != "WATCHDOG=1"]
    states = ["STATUS=starting: quiet", "READY=1", "STATUS=serving: quiet", "STOPPING=1", "STATUS=stopping: busy"]
    assert lines == states


async def test_a_reload_is_reported_from_its_begin_to_its_end(tmp_path: Path) -> None:
    """systemd wants the time at which the reload began, on its own clock, and hears of a fault's end too."""
    work: list[str] = []

    def fail() -> None:
        raise ZeroDivisionError

    async with service_manager(tmp_path) as manager, notifying(manager.address, 0, str) as systemd:
        systemd.ready_after(None)
        before = time.monotonic_ns() // 1000
        systemd.reload(lambda: work.append("read"))()
        with pytest.raises(ZeroDivisionError):
            systemd.reload(fail)()
        await manager.line("READY=1", 3)
    assert work == ["read"]
    began = [message for message in manager.messages if "RELOADING=1" in message]
    for _, stamp in began:
        assert before <= int(stamp.removeprefix("MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000
    assert len(began) == 2


async def test_a_reload_or_stop_before_readiness_reports_none(tmp_path: Path) -> None:
    """Only a service that has loaded is ready, and one that stops never becomes so."""
    async with service_manager(tmp_path) as manager, notifying(manager.address, 0, str) as systemd:
        loaded = asyncio.get_running_loop().create_future()
        systemd.ready_after(loaded)
        systemd.reload()()
        systemd.stopping()
        loaded.set_result(None)
        await manager.line("STOPPING=1")
    assert "READY=1" not in manager.lines


async def test_a_loop_that_stands_still_gives_no_sign_of_life(tmp_path: Path) -> None:
    """The watchdog is for the loop: no thread of its own keeps a stalled process alive."""
    async with service_manager(tmp_path) as manager, notifying(manager.address, WATCHDOG, str):
        await manager.line("WATCHDOG=1", 2)
        manager.read()
        # The test's own wait holds the loop up, for ten times the watchdog.
        assert select.select([manager.socket], [], [], 10 * WATCHDOG)[0] == []
        await manager.line("WATCHDOG=1", manager.lines.count("WATCHDOG=1") + 1)


async def test_a_status_that_fails_costs_its_line_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A fault of ours in a line for people takes neither a sign of life nor readiness nor the drain with it."""

    def fail() -> str:
        raise ZeroDivisionError

    async with service_manager(tmp_path) as manager, notifying(manager.address, WATCHDOG, fail) as systemd:
        await manager.line("WATCHDOG=1", 3)
        systemd.ready_after(None)
        systemd.stopping()
        await manager.line("STOPPING=1")
    assert "READY=1" in manager.lines
    assert manager.statuses == []
    assert [record.msg for record in caplog.records] == ["internal"]


async def test_what_a_busy_manager_had_no_room_for_comes_with_the_next_message(tmp_path: Path) -> None:
    """systemd would wait for readiness for ever."""
    async with service_manager(tmp_path) as manager:
        asyncio.get_running_loop().remove_reader(manager.socket)
        full = False
        while not full:  # the queue of the manager; each sender's own buffer is full earlier where the kernel allows it
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other, suppress(BlockingIOError):
                other.setblocking(False)
                full = True
                while True:
                    other.sendto(b"NOISE", manager.address)
                    full = False
        systemd = Systemd(manager.address)
        systemd.ready_after(None)
        manager.read()
        assert "READY=1" not in manager.lines
        systemd.stopping()
        manager.read()
        systemd.close()
    assert manager.messages[-1] == ["READY=1", "STOPPING=1", "STATUS=stopping: "]


@pytest.mark.parametrize("address", ["/nowhere/notify", "@nowhere", f"/{'x' * 200}", "vsock:2:1234"])
async def test_a_manager_that_is_not_there_costs_one_line(address: str, caplog: pytest.LogCaptureFixture) -> None:
    """The service serves all the same."""
    caplog.set_level(logging.WARNING, "sidecar")
    async with notifying(address, WATCHDOG, str) as systemd:
        for _ in range(3):
            systemd.ready_after(None)
        systemd.stopping()
    assert [record.msg for record in caplog.records] == ["systemd_away"]


async def test_without_a_manager_nothing_is_opened() -> None:
    """On a machine without systemd."""
    before = len(asyncio.all_tasks())
    async with notifying("", 0, str) as systemd:
        systemd.ready_after(None)
        systemd.stopping()
        assert not systemd.present
        assert len(asyncio.all_tasks()) == before
