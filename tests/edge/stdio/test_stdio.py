"""Promises of the stdio door, over real pipes, sockets and files."""

import asyncio
import json
import os
import socket
from pathlib import Path

import pytest

from sidecar.stdio.server import LOST, serve_stdio
from sidecar.wiring import service_of
from tests.support.stdio_session import PATIENCE, Echo, chat, session, settings_of


async def settle() -> None:
    """Let everything run that can."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_line_in_is_a_line_out() -> None:
    """One request, one reply, and the end of input is the end."""
    async with session() as wire:
        wire.send(chat("What is a noun?"))
        wire.finish()
        assert await wire.receive_all() == [{"success": True, "data": "What is a noun?"}]
        assert await wire.code() == 0
        assert wire.service.admission.held == 0


async def test_no_line_is_no_reply() -> None:
    """Nothing in, nothing out, and no complaint."""
    async with session() as wire:
        wire.send(b"\n  \n\r\n")
        wire.finish()
        assert await wire.receive_all() == []
        assert await wire.code() == 0


async def test_replies_come_in_the_order_of_the_requests() -> None:
    """A quick answer waits for the slow one before it."""
    async with session() as wire:
        wire.send(chat("slow one"), *(chat(f"quick {n}") for n in range(20)))
        await wire.upstream.reached(21)
        wire.upstream.released.set()
        wire.finish()
        replies = await wire.receive_all()
        assert [reply["data"] for reply in replies] == ["slow one", *(f"quick {n}" for n in range(20))]


async def test_a_reply_is_out_before_the_next_line_comes() -> None:
    """A caller who asks one by one is served one by one."""
    async with session() as wire:
        for n in range(3):
            wire.send(chat(f"question {n}"))
            assert (await wire.receive())["data"] == f"question {n}"


async def test_lines_are_worked_on_side_by_side() -> None:
    """As many at once as calls may be in flight, and not one more."""
    async with session(CONCURRENCY="5") as wire:
        wire.send(*(chat(f"slow {n}") for n in range(30)))
        await wire.upstream.reached(5)
        assert wire.service.kernel.calls.gate.waiting == 0, "a line's clock starts when it can be worked on"
        wire.upstream.released.set()
        wire.finish()
        assert len(await wire.receive_all()) == 30
        assert wire.upstream.most == 5


async def test_nothing_piped_in_is_overloaded_for_want_of_a_place() -> None:
    """A hundred lines through two places: the input waits, nobody is refused."""
    async with session(QUEUE_SIZE="2") as wire:
        wire.send(*(chat(f"question {n}") for n in range(100)))
        wire.finish()
        assert [reply["success"] for reply in await wire.receive_all()] == [True] * 100
        assert wire.upstream.most <= 2


async def test_finished_replies_behind_a_slow_one_keep_their_places() -> None:
    """So what waits in memory is bounded, however long the input is."""
    async with session(QUEUE_SIZE="3") as wire:
        wire.send(chat("slow one"), *(chat(f"quick {n}") for n in range(50)))
        await wire.upstream.reached(3, running=1)
        await settle()
        assert (wire.service.admission.held, len(wire.upstream.questions)) == (3, 3)
        wire.upstream.released.set()
        wire.finish()
        assert len(await wire.receive_all()) == 51


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"{", "invalid_json"),
        (b"[]", "invalid_json"),
        (b'{"action": "chat", "content": "\xff"}', "invalid_json"),
        (b"\0", "invalid_json"),
        (b"[" * 100_000, "invalid_json"),
        (b'{"action": "chat"}', "invalid_request"),
        (b'{"action": "sing", "content": "x"}', "unknown_action"),
        (b'{"action": "chat", "content": "%s"}' % (b"x" * 300_000), "too_large"),
    ],
)
async def test_a_bad_line_costs_itself_alone(line: bytes, code: str) -> None:
    """It has its error reply in its turn, and its neighbours have theirs."""
    async with session(MAX_BODY_BYTES="200000") as wire:
        wire.send(chat("before"), line + b"\n", chat("after"))
        wire.finish()
        before, bad, after = await wire.receive_all()
        assert (before["data"], bad["success"], bad["code"], after["data"]) == ("before", False, code, "after")
        assert await wire.code() == 0


@pytest.mark.parametrize(
    "text",
    [
        chat("x")[:-1],
        b"\xef\xbb\xbf" + chat("x"),
        chat("x").replace(b"\n", b"\r\n"),
        b"\n\n \n" + chat("x") + b"\n",
        b' \t{"content":"x" , "action": "chat", "context": null, "user_id": 7, "more": [1]}',
    ],
    ids=["no line end", "byte order mark", "CRLF", "blank lines", "white space and odd fields"],
)
async def test_what_shells_and_editors_send_is_served(text: bytes) -> None:
    """A valid request is served however its line begins and ends."""
    async with session() as wire:
        wire.send(text)
        wire.finish()
        assert await wire.receive_all() == [{"success": True, "data": "x"}]


async def test_what_php_cannot_read_does_not_come_back() -> None:
    """Replies hold neither NUL nor lone surrogates, whatever the line holds."""
    async with session() as wire:
        wire.send(chat("a\0b"), chat("a\ud800b"), chat("a\U0001f600b"))
        wire.finish()
        nul, lone, pair = await wire.receive_all()
        assert (nul["data"], pair["data"]) == ("ab", "a\U0001f600b")
        assert "\ud800" not in json.dumps(lone, ensure_ascii=False)


async def test_lines_of_several_megabytes_pass_both_ways() -> None:
    """Neither a pipe's size nor a reader's default limit cuts a line."""
    async with session() as wire:
        texts = [letter * 3_000_000 for letter in "abc"]
        wire.send(*map(chat, texts))
        wire.finish()
        assert [reply["data"] for reply in await wire.receive_all()] == texts


@pytest.mark.parametrize("ended", [True, False])
async def test_a_caller_who_leaves_ends_the_work(ended: bool) -> None:
    """Once nobody can read the replies, calls are cancelled at once, and that is no failure."""
    async with session() as wire:
        wire.send(chat("slow one"), chat("slow two"))
        if ended:
            wire.finish()
        await wire.upstream.reached(2)
        wire.leave()
        assert await wire.code() == 0
        assert wire.upstream.left.is_set()
        assert (wire.upstream.running, wire.service.admission.held) == (0, 0)


async def test_the_deadline_is_a_reply() -> None:
    """A line that takes too long hears so, in its turn."""
    async with session(REQUEST_TIMEOUT="0.1") as wire:
        wire.send(chat("slow one"))
        wire.finish()
        [reply] = await wire.receive_all()
        assert reply["code"] == "timeout"
        assert await wire.code() == 0


async def test_the_wait_for_a_process_counts_against_the_first_line_alone() -> None:
    """A line that waited for its place has that much less time; a later one has all of it."""
    async with session(waited=3600.0) as wire:
        wire.send(chat("slow one"), chat("two"))
        wire.finish()
        first, second = await wire.receive_all()
        assert (first["code"], second["success"]) == ("timeout", True)


async def test_stopping_finishes_what_was_taken() -> None:
    """After SIGTERM the accepted line gets its answer; nothing more is read."""
    async with session() as wire:
        wire.send(chat("slow one"))
        await wire.upstream.reached(1)
        wire.stop.set()
        await settle()
        assert wire.service.admission.draining
        wire.send(chat("too late"))
        wire.upstream.released.set()
        assert await wire.receive_all() == [{"success": True, "data": "slow one"}]
        assert await wire.code() == 0


async def test_what_outlasts_the_grace_hears_that_it_is_over() -> None:
    """Every line that was read has a reply: also one that still waited for its place."""
    async with session(SHUTDOWN_GRACE="0.05", QUEUE_SIZE="1") as wire:
        wire.send(chat("slow one"), chat("two"))
        await wire.upstream.reached(1)
        wire.stop.set()
        replies = await wire.receive_all()
        assert {reply["code"] for reply in replies} == {"shutting_down"}
        assert 1 <= len(replies) <= 2
        assert await wire.code() == 0


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
