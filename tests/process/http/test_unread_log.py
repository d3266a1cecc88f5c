"""Promises where nobody reads the log: the service answers everybody, hears signals, and later tells the gap."""

import asyncio
import fcntl
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL
from collections.abc import Iterable

from tests.support.http_sidecar import Caller, post
from tests.support.paths import ROOT
from tests.support.server_process import PATIENCE

ANSWERS = 2000
CALLERS = 64
LAST = "the-last-of-all"


async def read_until(descriptor: int, word: bytes) -> bytes:
    """Return what was written up to a line with `word` in it."""
    loop, seen = asyncio.get_running_loop(), b""
    async with asyncio.timeout(PATIENCE):
        while word not in seen or not seen.endswith(b"\n"):
            seen += await loop.run_in_executor(None, os.read, descriptor, 65536)
    return seen


async def chats(port: int, numbers: Iterable[int], *headers: str) -> int:
    """Ask one question a number on one connection; return how many were answered."""
    answered = 0
    async with await Caller.connect("127.0.0.1", port) as caller:
        for number in numbers:
            question = json.dumps({"action": "chat", "content": f"Is {number} a prime?"}).encode()
            await caller.send(post(question, *headers))
            answered += (await caller.receive()).json["success"]
    return answered


async def class_of_chats(port: int, most: int) -> int:
    return sum(await asyncio.gather(*(chats(port, range(first, most, CALLERS)) for first in range(CALLERS))))


async def test_a_server_whose_log_nobody_reads_goes_on() -> None:
    """A full pipe at stderr stops neither 2,000 answers nor the drain, and the lines after it tell the gap."""
    read, write = os.pipe()
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)  # full after a dozen lines
    command = [sys.executable, "-m", "sidecar", "--http-mode", "--port=0", "--log-format=json", "--demo"]
    server = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env={}, stdin=DEVNULL, stderr=write)
    os.close(write)
    try:
        seen = await read_until(read, b'"listening"')
        started = next(json.loads(line) for line in seen.splitlines() if b'"listening"' in line)
        port = int(started["ai"].removesuffix("/ai").rpartition(":")[2])

        assert await class_of_chats(port, ANSWERS) == ANSWERS

        # The pipe is read once more: the next line says what is missing.
        lines = [json.loads(line) for line in (await read_until(read, b'"answered"')).splitlines() if line[-1:] == b"}"]
        assert await chats(port, [ANSWERS], f"X-Request-ID: {LAST}") == 1
        lines += [json.loads(line) for line in (await read_until(read, LAST.encode())).splitlines()]
        seen_answers = sum(line["event"] == "answered" for line in lines)
        assert sum(line["lines"] for line in lines if line["event"] == "lines_lost") == ANSWERS + 1 - seen_answers

        await class_of_chats(port, CALLERS)  # full once more
        server.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE):
            assert await server.wait() == 0
    finally:
        if server.returncode is None:
            server.kill()
            await server.wait()
        os.close(read)
