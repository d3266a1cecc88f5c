"""The running command against raw bytes from a seed: every connection ends in time, by replies that are sound.

Twenty thousand connections with TEST_SCALE=1; with the ten thousand requests of test_openapi_fuzz.py they are the
thirty thousand cases of the fuzz.
"""

import asyncio
import faulthandler
import json
import re
from collections import Counter
from pathlib import Path

import pytest

from tests.support.raw_requests import Case, Mutations, operations
from tests.support.scale import scaled
from tests.support.server_process import Served, served
from tests.support.valkey import valkey

SEED = 14
QUICK = 400
CASES = scaled(QUICK, 20_000)
AT_ONCE = 16
PATIENCE = 40.0
"""Seconds for one connection, which the server ends by its own limits long before."""
GROWTH = 12 * 1024
"""KiB that the second half of the cases may add to the resident memory: allocator's noise, and no leak of one KiB."""


STREAM = re.compile(rb"\r\ncontent-type: text/event-stream.*?\r\n\r\n", re.IGNORECASE | re.DOTALL)
"""Head of a reply that is a stream of events."""


class Reply:
    """One reply of a stream of replies."""

    def __init__(self, raw: bytes) -> None:
        head, end, rest = raw.partition(b"\r\n\r\n")
        assert end, raw[:200]
        line, *lines = head.decode("latin-1").split("\r\n")
        version, status, _ = line.split(" ", 2)
        assert version in {"HTTP/1.0", "HTTP/1.1"}, line
        self.status = int(status)
        self.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(self.headers.get("content-length", "0"))
        self.body, self.rest = rest[:length], rest[length:]


def check(case: Case, raw: bytes, seen: Counter[int]) -> None:
    """Assert that the bytes which came back are replies, JSON, with an id, and tell of no fault of ours."""
    assert b"Traceback" not in raw
    assert b'"code":"internal"' not in raw
    while raw:
        reply = Reply(raw)
        raw = reply.rest
        if reply.status == 100:
            continue
        seen[reply.status] += 1
        assert reply.status != 500
        assert reply.headers["x-request-id"]
        if reply.headers["content-type"] != "application/json" or b"HEAD" in case.sent:
            return  # a stream or a page, or perhaps no body: where the reply ends is not to be seen
        assert isinstance(json.loads(reply.body), dict)


async def exchange(sidecar: Served, case: Case) -> bytes:
    """Send the case, close the sending side, and return all that comes back until the server closes.

    A stream of events may have no end, so it is left once it has begun.
    """
    reader, writer = await asyncio.open_connection(sidecar.host, sidecar.port)
    try:
        async with asyncio.timeout(PATIENCE):
            try:
                for piece in case.pieces:
                    writer.write(piece)
                    await writer.drain()
                writer.write_eof()
                return await replies(reader)
            except ConnectionError:
                return b""  # the server closed on a caller that had left
    finally:
        writer.transport.abort()


async def replies(reader: asyncio.StreamReader) -> bytes:
    """Return all bytes up to the end, or to the head of a stream of events."""
    raw = b""
    while (part := await reader.read(2**16)) and not STREAM.search(raw := raw + part):
        pass
    return raw


async def drive(sidecar: Served, cases: list[Case], seen: Counter[int]) -> None:
    """Send the cases, some at once; a failure names its case."""
    waiting = iter(cases)

    async def work() -> None:
        for case in waiting:
            try:
                check(case, await exchange(sidecar, case), seen)
            except Exception as exc:
                exc.add_note(f"Mutations({SEED}).case({case.number}): {case.sent[:300]!r}")
                raise

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(work())


def resident(sidecar: Served) -> int:
    """Return the process's resident memory in KiB."""
    lines = Path(f"/proc/{sidecar.process.pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS:")).split()[1])


async def test_each_operation_is_among_the_cases() -> None:
    """A route that appears is fuzzed from then on: unchanged, its example is understood."""
    async with valkey() as server, served("--demo", REDIS_URL=server.url) as sidecar:
        for operation in operations():
            raw = await exchange(sidecar, Case(-1, (operation.request,)))
            assert Reply(raw).status in {200, 202, 404}, operation


@pytest.mark.long
async def test_whatever_bytes_come_the_server_goes_on() -> None:
    """No crash, no hang, no `internal`, and memory that stays."""
    if CASES > QUICK:
        faulthandler.cancel_dump_traceback_later()  # each connection has a time limit of its own
    cases, seen = list(Mutations(SEED).cases(CASES)), Counter[int]()
    words = ("--demo", "--cache-bytes=0", "--request-timeout=5")
    async with valkey() as server, served(*words, REDIS_URL=server.url) as sidecar:
        await drive(sidecar, cases[: CASES // 2], seen)
        before = resident(sidecar)
        await drive(sidecar, cases[CASES // 2 :], seen)
        assert resident(sidecar) - before < GROWTH
        assert (await sidecar.get("/health")).status == 200
        assert (await sidecar.chat("Still there?"))["success"]
        assert not [line for line in sidecar.log if line["event"] == "internal"]
        assert b"Traceback" not in sidecar.raw
    assert seen.keys() >= {200, 400, 404, 405, 421, 431, 505}, seen
