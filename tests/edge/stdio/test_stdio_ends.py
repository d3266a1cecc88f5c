"""Promises of what standard input and output may be: files, sockets, full disks, and readers who do not read."""

import asyncio
import json
import os
import socket
from pathlib import Path

import pytest

from sidecar.service import service_of
from sidecar.stdio.server import LOST, serve_stdio
from tests.support.stdio_session import PATIENCE, Echo, chat, session, settings_of


async def test_a_regular_file_is_read_to_its_end(tmp_path: Path) -> None:
    """`sidecar < requests.jsonl > replies.jsonl` works like a pipe."""
    requests, replies = tmp_path / "requests.jsonl", tmp_path / "replies.jsonl"
    requests.write_bytes(b"".join(chat(f"question {n}") for n in range(500)))
    settings = settings_of()
    with requests.open("rb") as source, replies.open("wb") as sink:
        code = await serve_stdio(service_of(settings, Echo()), settings, source=source.fileno(), sink=sink.fileno())
    assert code == 0
    assert [json.loads(line)["data"] for line in replies.read_bytes().splitlines()] == [
        f"question {n}" for n in range(500)
    ]


async def test_a_socket_is_both_ways() -> None:
    """One socket as stdin and stdout, as super-servers give it; half of it closed is the end of input."""
    settings = settings_of()
    theirs, ours = socket.socketpair()
    with ours:
        reader, writer = await asyncio.open_connection(sock=theirs)
        writer.write(chat("one") + chat("x" * 1_000_000))
        writer.write_eof()
        served = asyncio.create_task(
            serve_stdio(service_of(settings, Echo()), settings, source=ours.fileno(), sink=ours.fileno())
        )
        async with asyncio.timeout(PATIENCE):
            first, second = await reader.readline(), await reader.readexactly(1_000_000)
            assert (json.loads(first)["data"], second[-3:]) == ("one", b"xxx")
            assert await served == 0
        writer.close()
        await writer.wait_closed()


async def test_a_pipe_that_does_not_block_loses_nothing() -> None:
    """A caller who made the other end non-blocking gets every byte, however slow the reading."""
    settings = settings_of()
    source, say = os.pipe()
    hear, sink = os.pipe()
    os.set_blocking(source, False)
    os.set_blocking(sink, False)
    with os.fdopen(source), os.fdopen(sink, "wb") as end, os.fdopen(hear, "rb") as replies:
        os.write(say, chat("x" * 50_000))
        served = asyncio.create_task(serve_stdio(service_of(settings, Echo()), settings, source=source, sink=sink))
        os.close(say)

        def read() -> bytes:
            return replies.read(50_000)

        async with asyncio.timeout(PATIENCE):
            half = await asyncio.to_thread(read)
            assert await served == 0
        end.close()
        assert json.loads(half + replies.read())["data"] == "x" * 50_000


@pytest.mark.parametrize("what", ["closed", "directory", "null"])
async def test_a_source_that_cannot_be_read_has_ended(what: str, tmp_path: Path) -> None:
    """Whatever is no input is an input without lines."""
    source = os.open(os.devnull if what == "null" else tmp_path, os.O_RDONLY)
    try:
        async with session(source=5000 if what == "closed" else source) as wire:
            assert await wire.receive_all() == []
            assert await wire.code() == 0
    finally:
        os.close(source)


async def test_a_full_disk_is_a_failure_and_not_silence() -> None:
    """Replies that somebody wants and that cannot be written are told to the shell."""
    settings = settings_of()
    with os.fdopen(os.open("/dev/full", os.O_WRONLY), "wb", 0) as full, piped(chat("one")) as source:
        code = await serve_stdio(service_of(settings, Echo()), settings, source=source.fileno(), sink=full.fileno())
    assert code == LOST


async def test_a_reader_who_does_not_read_cannot_hold_up_the_stop() -> None:
    """The grace is the longest that a stopping process lasts."""
    settings = settings_of(SHUTDOWN_GRACE="0.05")
    stop = asyncio.Event()
    upstream = Echo()
    hear, sink = os.pipe()
    with os.fdopen(hear), os.fdopen(sink), piped(chat("x" * 50_000), chat("y" * 50_000)) as source:
        served = asyncio.create_task(
            serve_stdio(service_of(settings, upstream), settings, source=source.fileno(), sink=sink, stop=stop)
        )
        await upstream.reached(2)
        stop.set()
        async with asyncio.timeout(PATIENCE):
            assert await served == LOST


def piped(*lines: bytes) -> socket.SocketIO:
    """A socket's reading end with `lines` in it and nothing to come."""
    theirs, ours = socket.socketpair()
    with theirs, ours:
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**20)
        theirs.sendall(b"".join(lines))
        return ours.makefile("rb", buffering=0)
