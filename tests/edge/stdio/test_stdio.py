"""Promises of stdio over real pipes: a reply for each line, in order, within limits, deadlines and the grace."""

import asyncio
import json

import pytest

from tests.support.stdio_session import chat, session


async def settle() -> None:
    """Let everything run that can."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_line_in_is_a_line_out() -> None:
    """One request, one reply, and the end of input is the end."""
    async with session() as wire:
        wire.send(chat("What is a noun?"))
        wire.finish()
        assert await wire.receive_all() == [{"success": True, "data": "What is a noun?", "error": None}]
        assert await wire.code() == 0
        assert wire.service.admission.held == 0


async def test_the_fallback_gives_what_http_gives() -> None:
    """HTML for the plugin's pages, and for a line with a format of its own that one."""
    lines = [
        json.dumps({"action": "chat", "content": "a<b", **more}).encode() + b"\n" for more in ({}, {"format": "text"})
    ]
    async with session(FORMAT="") as wire:
        wire.send(*lines)
        wire.finish()
        replies = await wire.receive_all()
    assert [reply["data"] for reply in replies] == ["<code hidden></code><p>a&lt;b</p>", "a<b"]


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
        assert await wire.receive_all() == [{"success": True, "data": "x", "error": None}]


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
        assert await wire.receive_all() == [{"success": True, "data": "slow one", "error": None}]
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
