"""Promises of the command's ends and limits: callers who leave, signals, places for processes, and the deadline."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE

import pytest

from sidecar.demo.provider import Demo
from sidecar.stdio.process_limit import hold_place
from tests.support.paths import ROOT
from tests.support.stdio_command import CHAT, PATIENCE, STALLED, php_flags, run, started


async def test_a_caller_who_leaves_ends_the_process(demo: Demo) -> None:
    """When stdout is closed at the other end, the call is given up, without a complaint."""
    hear, theirs = os.pipe()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sidecar", *php_flags(demo), cwd=ROOT, env={}, stdin=PIPE, stdout=theirs, stderr=PIPE
    )
    os.close(theirs)
    assert process.stdin is not None
    assert process.stderr is not None
    process.stdin.write(STALLED)
    await demo.until(lambda stats: stats.stalled == 1, within=PATIENCE)
    os.close(hear)
    async with asyncio.timeout(PATIENCE):
        assert await process.wait() == 0
        assert await process.stderr.read() == b""
    await demo.until(lambda stats: stats.cancelled == 1)
    process.stdin.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_stop_finishes_what_was_taken(demo: Demo, number: signal.Signals) -> None:
    """The accepted line gets its answer, the grace is kept, and the process ends as asked."""
    slow = b'{"action": "chat", "content": "[demo latency=0.5] one"}\n'
    async with started(*php_flags(demo), "--shutdown-grace=2") as process, asyncio.timeout(PATIENCE):
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(slow + STALLED)
        await demo.until(lambda stats: stats.received == 2, within=PATIENCE)
        process.send_signal(number)
        replies = [json.loads(line) for line in (await process.stdout.read()).splitlines()]
        assert [reply.get("code", "ok") for reply in replies] == ["ok", "shutting_down"]
        assert await process.wait() == 0


async def test_a_crowd_takes_turns_and_all_answer(demo: Demo) -> None:
    """A burst of processes stays within the limit, and everyone has a real answer."""
    demo.behave(latency=0.05)
    ended = await asyncio.gather(
        *(run(CHAT, *php_flags(demo), "--stdio-max-processes=4", "--request-timeout=60") for _ in range(40))
    )
    assert [(one.code, one.replies[0]["success"]) for one in ended] == [(0, True)] * 40
    assert demo.stats.peak_in_flight <= 4


async def test_without_a_place_every_line_hears_so(demo: Demo) -> None:
    """After a bounded wait a process without a place says `overloaded`, line by line, and that is no failure."""
    held = hold_place(1, PATIENCE)
    assert held is not None
    try:
        ended = await run(
            CHAT + b"\nnonsense\n" + CHAT, *php_flags(demo), "--stdio-max-processes=1", "--request-timeout=1"
        )
    finally:
        held.release()
    assert (ended.code, ended.stderr) == (0, b"")
    assert [reply["code"] for reply in ended.replies] == ["overloaded"] * 3
    assert demo.stats.received == 0


async def test_a_silent_provider_ends_at_the_deadline(demo: Demo) -> None:
    """The process ends itself: PHP has no time limit that works."""
    ended = await run(STALLED, *php_flags(demo), "--request-timeout=0.5")
    assert (ended.code, ended.replies[0]["code"]) == (0, "timeout")
