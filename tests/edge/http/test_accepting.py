"""Promises where more callers come than there are descriptors: they wait, in the kernel's backlog, and are served."""

import asyncio
import errno
import logging
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from sidecar.http.server import acceptor
from sidecar.http.server.server import Listening, serve
from sidecar.service import service_of
from tests.support.held_provider import HeldUpstream
from tests.support.http_sidecar import Caller, post, running, settings_of
from tests.support.protocol_requests import GET_HEALTH

FEW = 64 + 2 * 16 + 16
"""Open files for 16 callers beside 16 provider calls."""


def told(caplog: pytest.LogCaptureFixture, name: str) -> list[dict[str, Any]]:
    return [record.__dict__["fields"] for record in caplog.records if record.getMessage() == name]


class Moody(socket.socket):
    """A listening socket whose first accept ends as told."""

    mood: OSError | socket.socket | None = None

    def accept(self) -> tuple[socket.socket, Any]:
        mood, self.mood = self.mood, None
        if isinstance(mood, OSError):
            raise mood
        return (mood, None) if mood is not None else super().accept()


@asynccontextmanager
async def moody(mood: OSError | socket.socket) -> AsyncIterator[Listening]:
    sock = Moody()
    sock.bind(("127.0.0.1", 0))
    sock.listen()
    sock.mood = mood
    settings = settings_of()
    async with serve(service_of(settings, HeldUpstream()), settings, sock=sock) as listening:
        yield listening


async def test_more_callers_than_descriptors_are_all_served(caplog: pytest.LogCaptureFixture) -> None:
    """Never more are here than there is room for; the others wait, and nobody is reset or refused."""
    caplog.set_level(logging.INFO, "sidecar")
    async with running(timings={"descriptors": FEW}, CONCURRENCY="16") as sidecar:
        answers = await asyncio.gather(*(sidecar.fetch(post()) for _ in range(100)))
    assert all(answer.json["success"] for answer in answers)
    paused = told(caplog, "accepting_paused")
    assert {event["connections"] for event in paused} == {16}
    # It goes on after two of sixteen have left, and not with each single one.
    assert 1 <= len(paused) <= 100 / 2
    assert len(told(caplog, "accepting_resumed")) == len(paused)


async def test_idle_connections_make_room() -> None:
    """Connections kept for later must not keep out who asks now."""
    async with running(timings={"descriptors": FEW}, CONCURRENCY="16") as sidecar:
        idle = [await sidecar.call() for _ in range(16)]
        for caller in idle:
            await caller.send(GET_HEALTH)
            await caller.receive()
        assert (await sidecar.fetch(post())).json["success"]
        for caller in idle:
            assert await caller.rest() == b""
            await caller.leave()


async def test_who_works_is_not_cut_off_for_newcomers() -> None:
    """What is under way is finished, however many wait outside."""
    upstream = HeldUpstream(held=True)
    async with running(upstream, timings={"descriptors": FEW}, CONCURRENCY="16") as sidecar:
        asked = [asyncio.create_task(sidecar.fetch(post())) for _ in range(60)]
        await upstream.reached(16)
        assert len(sidecar.listening._connections.open) == 16
        upstream.gate.set()
        assert all(answer.json["success"] for answer in await asyncio.gather(*asked))


async def test_stopping_while_newcomers_wait_outside_is_clean() -> None:
    """A pause does not outlive the server."""
    upstream = HeldUpstream(held=True)
    async with running(upstream, timings={"descriptors": FEW}, CONCURRENCY="16") as sidecar:
        callers = [await sidecar.call() for _ in range(30)]
        for caller in callers:
            await caller.send(post())
        await upstream.reached(16)
        await sidecar.listening.drain(0)
    for caller in callers:
        await caller.leave()


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ECONNABORTED])
async def test_what_the_kernel_will_not_give_now_is_retried(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """No descriptor left in the whole machine, or a caller who left while waiting: the next is served."""
    monkeypatch.setattr(acceptor, "RETRY_SECONDS", 0.001)
    async with (
        moody(OSError(number, os.strerror(number))) as listening,
        await Caller.connect(listening.host, listening.port) as caller,
    ):
        await caller.send(post())
        assert (await caller.receive()).json["success"]


async def test_a_connection_that_cannot_be_used_costs_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    """It is closed, said in the log, and holds no room."""
    unusable = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    async with moody(unusable) as listening, await Caller.connect(listening.host, listening.port) as caller:
        await caller.send(GET_HEALTH)
        assert (await caller.receive()).status == 200
        assert len(listening._connections.open) == 1
    assert unusable.fileno() == -1
    assert [fields["exception"] for fields in told(caplog, "internal")] == ["ValueError"]
