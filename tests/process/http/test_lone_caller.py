"""Promises to one person at a provider that refuses: the real command says soon what waiting cannot mend."""

import time

import pytest

from sidecar.demo.provider import Demo
from tests.support.server_process import Served
from tests.support.stdio_command import CHAT, php_flags, run

REFUSING = {"status": 429, "retry_after": 90}
FOR_GOOD: list[tuple[dict[str, object], str]] = [
    ({"api_key": "another"}, "upstream_auth"),
    ({"quota": True}, "rate_limited"),
    ({"models": "another"}, "upstream_error"),
    ({"status": 402}, "upstream_error"),
    ({"status": 500}, "upstream_error"),
]


async def test_a_lone_person_hears_soon(server: Served, demo: Demo) -> None:
    """Refusals for good after one call; a wait beyond the deadline after two; the next person without a call."""
    for changes, code in FOR_GOOD:
        demo.reset()
        demo.behave(**changes)
        began, before = time.monotonic(), demo.stats.received
        assert (await server.chat("Why?"))["code"] == code
        assert (demo.stats.received - before, time.monotonic() - began < 8.0) == (1, True)
    demo.reset()
    demo.behave(**REFUSING)
    began, before = time.monotonic(), demo.stats.received
    assert (await server.chat("Why?"))["code"] == "rate_limited"
    assert (demo.stats.received - before, time.monotonic() - began < 12.0) == (2, True)
    assert (await server.chat("Why?"))["code"] == "rate_limited"
    assert demo.stats.received - before == 2


@pytest.mark.parametrize("changes", [REFUSING, FOR_GOOD[1][0]], ids=str)
async def test_so_does_a_process_for_one_request(demo: Demo, changes: dict[str, object]) -> None:
    """PHP holds the person's session for it too."""
    demo.behave(**changes)
    began = time.monotonic()
    ended = await run(CHAT, *php_flags(demo))
    assert (ended.code, ended.replies[0]["code"]) == (0, "rate_limited")
    assert time.monotonic() - began < 15.0
