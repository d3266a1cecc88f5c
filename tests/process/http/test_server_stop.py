"""Promises of the server's end: what was accepted is finished within the grace, and nothing is left behind."""

import asyncio
import signal

import pytest

from sidecar.demo.provider import Demo
from tests.support.http_sidecar import post
from tests.support.server_process import Served, served


async def test_sigterm_finishes_what_was_accepted(server: Served, demo: Demo) -> None:
    """The call under way is answered, newcomers hear `shutting_down`, /health says 503, the exit code is 0."""
    slow = asyncio.create_task(server.chat("Slow [demo latency=1]"))
    await demo.until(lambda stats: stats.in_flight == 1)
    server.process.send_signal(signal.SIGTERM)
    await server.event("stopping")
    health = await server.get("/health")
    assert (health.status, health.json["status"]) == (503, "draining")
    late = await server.fetch(post())
    assert (late.status, late.json["code"]) == (200, "shutting_down")
    assert (await slow)["success"]
    assert await server.ended() == 0
    assert (await server.event("stopped"))["level"] == "info"


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM])
async def test_a_signal_without_a_meaning_ends_nothing(server: Served, demo: Demo, number: signal.Signals) -> None:
    """Log rotation and other servers' habits cost no answer."""
    slow = asyncio.create_task(server.chat("Slow [demo latency=1]"))
    await demo.until(lambda stats: stats.in_flight == 1)
    server.process.send_signal(number)
    assert (await server.event("signal_ignored"))["signal"] == number.name
    assert (await slow)["success"]
    assert (await server.get("/health")).status == 200


async def test_the_grace_has_an_end(demo: Demo) -> None:
    """What is not finished within SHUTDOWN_GRACE hears so, and the process ends."""
    async with served(f"--base-url={demo.url}/v1", "--api-key=k", "--shutdown-grace=0.2") as server:
        stalled = asyncio.create_task(server.chat("[demo stall=1]"))
        await demo.until(lambda stats: stats.in_flight == 1)
        server.process.send_signal(signal.SIGTERM)
        assert (await stalled)["code"] == "shutting_down"
        assert await server.ended() == 0
    await demo.until(lambda stats: stats.in_flight == 0)


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
async def test_a_second_signal_ends_it_now(server: Served, demo: Demo, first: signal.Signals) -> None:
    """An administrator in a hurry does not wait for the grace."""
    stalled = asyncio.create_task(server.fetch(post(b'{"action": "chat", "content": "[demo stall=1]"}')))
    await demo.until(lambda stats: stats.in_flight == 1)
    server.process.send_signal(first)
    await server.event("stopping")
    server.process.send_signal(signal.SIGTERM)
    assert await server.ended() == 128 + signal.SIGTERM
    assert isinstance((await asyncio.gather(stalled, return_exceptions=True))[0], Exception)


async def test_killed_it_leaves_nothing_behind(server: Served) -> None:
    """`kill -9` frees the port at once for the next start."""
    server.process.kill()
    await server.ended()
    async with served("--demo", f"--port={server.port}") as again:
        assert (await again.get("/health")).status == 200
