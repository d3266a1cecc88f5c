"""Promises of server and worker under a service manager: a real datagram socket hears what the real command sends."""

import os
import signal
from pathlib import Path

import pytest

from sidecar.demo.provider import Demo
from tests.support.server_process import served
from tests.support.service_manager import service_manager
from tests.support.workers import worker


@pytest.mark.parametrize("abstract", [False, True])
async def test_a_server_reports_its_life(tmp_path: Path, demo: Demo, *, abstract: bool) -> None:
    """Ready when it listens, a line of numbers, signs of life in time, a reload without an end, and the stop."""
    async with service_manager(tmp_path, abstract=abstract) as manager:
        env = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "200000"}
        async with served(f"--base-url={demo.url}/v1", "--api-key=k", **env) as server:
            await manager.line("READY=1")
            assert (await server.get("/ready")).json["ready"]
            await manager.line("WATCHDOG=1", 3)
            server.process.send_signal(signal.SIGHUP)
            await manager.line("RELOADING=1")
            await manager.line("READY=1", 2)
            server.process.send_signal(signal.SIGTERM)
            assert await server.ended() == 0
        await manager.line("STOPPING=1")
    numbers = "0 calls waiting, 0 in flight of 64, provider ok"
    assert manager.statuses[-2:] == [f"{state}: {numbers}" for state in ("serving", "stopping")]


async def test_a_server_is_ready_when_the_slow_client_is_loaded(tmp_path: Path, demo: Demo) -> None:
    """The first answer is as fast as the second; /health answers before, and callers wait instead of being refused."""
    async with service_manager(tmp_path) as manager:
        words = (f"--base-url={demo.url}/v1", "--api-key=k", "--provider-client=openai")
        async with served(*words, NOTIFY_SOCKET=manager.address) as server:
            assert (await server.get("/health")).status == 200
            found = await server.get("/ready")
            assert found.status == (503 if found.json["checks"]["server"] == "starting" else 200)
            await manager.line("READY=1")
            assert (await server.get("/ready")).status == 200


async def test_a_watchdog_of_another_process_is_none_of_its_own(tmp_path: Path) -> None:
    """The variables may be a parent's."""
    async with service_manager(tmp_path) as manager:
        env = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "100000", "WATCHDOG_PID": str(os.getpid())}
        async with served("--demo", **env):
            await manager.line("READY=1")
    assert "WATCHDOG=1" not in manager.lines


async def test_a_process_that_the_watchdog_ends_says_where_it_stood(tmp_path: Path) -> None:
    """The log has files and functions, and nothing of a request."""
    async with service_manager(tmp_path) as manager:
        env = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "1000000"}
        async with served("--demo", **env, shell='ulimit -c 0; exec "$@"') as server:
            assert (await server.chat("canaryTEXT4714"))["success"]
            server.process.send_signal(signal.SIGABRT)
            assert await server.ended() == -signal.SIGABRT
    assert b"Fatal Python error: Aborted" in server.raw
    assert b'asyncio/runners.py", line ' in server.raw
    assert b"canary" not in server.raw


async def test_a_worker_reports_its_life(tmp_path: Path) -> None:
    """Without its Redis too, which it waits for."""
    async with service_manager(tmp_path) as manager:
        env = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "200000", "REDIS_URL": f"unix://{tmp_path}/none.sock"}
        async with worker("--demo", **env) as running:
            await manager.line("READY=1")
            await manager.line("WATCHDOG=1", 2)
            assert await running.stop() == 0
        await manager.line("STOPPING=1")
    assert manager.statuses[-1] == "stopping: 0 calls waiting, 0 in flight of 12, provider ok"
