"""Promises of two serving processes under load while one after another is killed, at any point."""

import asyncio
import os
import random
import signal
import time
from typing import Any

import pytest

from sidecar.demo.options import Options
from sidecar.demo.server import serve
from tests.support.http_sidecar import Answer, post
from tests.support.process_family import children
from tests.support.scale import scaled
from tests.support.server_process import served
from tests.support.steady_load import load

SLOTS = 8
LIFE_SECONDS = 2.5
"""Seconds between two kills: shorter lives, one after another, would end the service."""


def request(number: int) -> bytes:
    """Return a chat, or a page that several callers read at once."""
    shared = number % 3 == 0
    action, text = ("summarize", f"Page {number // 30}") if shared else ("chat", f"Question {number}")
    body = f'{{"action": "{action}", "content": "{text}", "user_id": "u{number % 7}"}}'
    return post(body.encode(), "Connection: close")


def held(status: dict[str, Any]) -> int:
    """Return how much the service holds: calls, requests and bytes."""
    slots = status["slots"]
    now: int = slots["running"] + slots["waiting"] + status["places"]["now"] + status["bytes"]["now"]
    return now


def answered(answer: Answer) -> bool:
    return bool(answer.json["success"])


@pytest.mark.long(alone=True)
async def test_no_slot_and_no_place_is_lost_whatever_is_killed() -> None:
    """Nobody hears a wrong word: callers of a killed process lose their connection, all others have their answers.

    The provider sees at most the ceiling, and for moments the calls of the process that was killed beside it.
    """
    async with serve(Options(latency=0.05), keep=10_000) as demo:
        words = (f"--base-url={demo.url}/v1", "--api-key=k", "--processes=2", f"--concurrency={SLOTS}")
        async with served(*words) as server:
            async with load((server.host, server.port), 24, request, answered) as callers:
                for _ in range(scaled(2, 40)):
                    until = time.monotonic() + LIFE_SECONDS + random.random()
                    while time.monotonic() < until:
                        await callers.goes_on(20)
                    begun = len(server.log)
                    os.kill(random.choice(children(server)), signal.SIGKILL)
                    await server.event("process_ended", after=begun)
                await callers.goes_on(200)
            assert [failure for failure in callers.failed if "success" in failure] == []
            # The last callers have left, which is noticed within a second or two.
            async with asyncio.timeout(20):
                while held((await server.get("/status")).json):  # noqa: ASYNC110 - nothing tells of it
                    await asyncio.sleep(0.05)
    assert demo.stats.peak_in_flight <= 2 * SLOTS
