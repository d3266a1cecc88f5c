"""Promises of the batch: every request answered once, in order, whatever happened before."""

import asyncio
import json
import os

import pytest

from sidecar.core.errors import UpstreamError, UpstreamUnreachable
from sidecar.core.ports import Call, Completion
from sidecar.engine.formats.simple import MARK
from tests.support.batch_folder import Folder, Provider, answers, data


async def test_each_line_has_its_reply_in_its_place(folder: Folder) -> None:
    """Wrong lines too; equal requests are asked once; no more calls at once than wanted; nothing is left over."""
    names = [f"q{number % 15}" for number in range(40)]
    folder.questions(*names)
    with folder.source.open("ab") as file:
        file.write(b'\n{"action": "dance", "content": "x"}\n[')
    provider = Provider()
    assert await folder.batch(provider) == 1
    *good, unknown, broken = folder.replies
    assert [(reply["line"], reply["data"]) for reply in good] == answers(*names)
    assert [(r["line"], r["success"], r["code"]) for r in (unknown, broken)] == [
        (42, False, "unknown_action"),
        (43, False, "invalid_json"),
    ]
    assert sorted(provider.asked) == sorted(set(names))
    assert provider.most <= 4
    assert folder.steps == 42
    assert folder.texts == ["40 answered, 2 wrong lines"]
    assert [path.name for path in folder.source.parent.iterdir()] == ["in.jsonl", "out.jsonl"]


async def test_an_empty_file_has_an_empty_answer(folder: Folder) -> None:
    """No request is no failure."""
    folder.questions()
    assert await folder.batch(Provider()) == 0
    assert folder.replies == []


async def test_what_a_crash_left_is_gone_on_with(folder: Folder) -> None:
    """Finished replies are found, also behind a spoilt line; a torn one and a failed one are asked again."""
    folder.questions("a", "b", "c", "d", "e")
    provider = Provider(lambda question: UpstreamError(status=422) if question == "b" else None)
    stop = asyncio.Event()
    provider.gate.clear()
    running = asyncio.create_task(folder.batch(provider, stop=stop, CONCURRENCY="1"))
    await provider.reached(1)
    provider.gate.set()
    await provider.reached(4)
    stop.set()
    assert await running == 1
    assert "the same command goes on from there" in folder.texts[-1]
    assert not folder.target.exists()
    header, a, b, c, *_ = folder.part.read_bytes().splitlines(keepends=True)
    folder.part.write_bytes(header + a + b"\0\0\0\0\n{}\n" + b + c[: len(c) // 2])
    again = Provider()
    assert await folder.batch(again) == 0
    assert sorted(again.asked) == ["b", "c", "d", "e"]
    assert data(folder) == answers("a", "b", "c", "d", "e")
    assert "1 of the replies were there already" in folder.texts[-1]


async def test_a_complete_output_is_not_paid_again(folder: Folder) -> None:
    """The same once more asks nothing, and --retry-failed what failed alone."""
    folder.questions("a", "b", "c")
    assert await folder.batch(Provider(lambda question: UpstreamError(status=422) if question == "b" else None)) == 1
    assert [reply.get("code") for reply in folder.replies] == [None, "upstream_error", None]
    assert folder.texts[-1] == "2 answered, 1 upstream_error; --retry-failed asks again what failed"
    idle = Provider()
    before = folder.target.read_bytes()
    assert await folder.batch(idle) == 1
    assert (idle.calls, folder.target.read_bytes()) == ([], before)
    assert await folder.batch(idle, retry_failed=True) == 0
    assert idle.asked == ["b"]
    assert data(folder) == answers("a", "b", "c")


async def test_a_changed_input_is_noticed(folder: Folder) -> None:
    """What is new in it is asked, what was there is found wherever it stands, what is gone is gone."""
    folder.questions("a", "b", "c")
    assert await folder.batch(Provider()) == 0
    folder.questions("c", "x", "a")
    provider = Provider()
    assert await folder.batch(provider) == 0
    assert provider.asked == ["x"]
    assert data(folder) == answers("c", "x", "a")
    other = Provider()
    assert await folder.batch(other, OPENAI_MODEL="another") == 0
    assert sorted(other.asked) == ["a", "c", "x"]


async def test_a_finished_part_of_a_long_text_is_not_paid_again(folder: Folder) -> None:
    """Though the text was not finished before the crash."""
    text = " ".join(f"Sentence {number} says that rivers run to the sea." for number in range(300))
    folder.source.write_text(json.dumps({"action": "summarize", "content": text}) + "\n")
    stop = asyncio.Event()

    class Short(Provider):
        async def complete(self, call: Call, *, deadline: float) -> Completion:
            await super().complete(call, deadline=deadline)
            return Completion(text="Short.")

    def stopped(question: str) -> Exception | None:
        if "Short." not in question:
            return None
        stop.set()
        return UpstreamUnreachable()

    async def run(provider: Provider, stop: asyncio.Event | None = None) -> int:
        return await folder.batch(provider, stop=stop, CONTEXT_TOKENS="1200", MAX_TOKENS="100", SHUTDOWN_GRACE="0")

    first, second = Short(stopped), Short()
    assert await run(first, stop) == 1
    assert len(first.calls) > 3
    assert await run(second) == 0
    assert len(second.calls) == 1
    assert data(folder) == [(1, "Short.")]


async def test_two_on_one_output_do_not_mix(folder: Folder) -> None:
    """The second one says so and touches nothing."""
    folder.questions("a")
    provider, other = Provider(held=True), Provider()
    running = asyncio.create_task(folder.batch(provider))
    await provider.reached(1)
    assert await folder.batch(other) == 1
    assert "Another batch is at work on the same output" in folder.texts[-1]
    assert other.calls == []
    provider.gate.set()
    assert await running == 0
    assert data(folder) == answers("a")


async def test_a_file_that_is_no_journal_is_not_touched(folder: Folder) -> None:
    """Whose name happens to be that of one."""
    folder.questions("a")
    folder.part.write_text("my notes\n")
    assert await folder.batch(Provider()) == 1
    assert "no journal of a batch" in folder.texts[-1]
    assert folder.part.read_text() == "my notes\n"


async def test_replies_and_journals_are_for_their_owner_alone(folder: Folder) -> None:
    """Whatever the umask lets others read, and whatever a journal of an earlier version let them read."""
    folder.questions("a", "b")
    for mode in (0o600, 0o644):
        stop, provider, before = asyncio.Event(), Provider(held=True), os.umask(0o000)
        try:
            if mode != 0o600:
                folder.part.touch()
                folder.part.chmod(mode)
            running = asyncio.create_task(folder.batch(provider, stop=stop, SHUTDOWN_GRACE="0"))
            await provider.reached(2)
            assert folder.part.stat().st_mode & 0o777 == 0o600
            provider.gate.set()
            assert await running == 0
            assert folder.target.stat().st_mode & 0o777 == 0o600
            folder.target.unlink()
        finally:
            os.umask(before)


async def test_an_output_keeps_its_rights(folder: Folder) -> None:
    """Replacing it does not open it to others."""
    folder.questions("a")
    folder.target.touch(mode=0o600)
    assert await folder.batch(Provider()) == 0
    assert folder.target.stat().st_mode & 0o777 == 0o600


async def test_html_is_made_safe_once(folder: Folder) -> None:
    """Also in a reply that was there already."""
    folder.questions("a<b")
    for _ in range(2):
        assert await folder.batch(Provider(), HTML_SAFE="true") == 0
        assert data(folder) == [(1, "About a< b")]


async def test_a_line_has_its_format(folder: Folder) -> None:
    """Its own, else FORMAT's, else the provider's words; the same text in two formats is two replies."""
    lines = [{"action": "chat", "content": "a<b", **more} for more in ({}, {"format": "html"}, {"format": "text"})]
    folder.source.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    assert await folder.batch(Provider()) == 0
    assert data(folder) == [(1, "About a<b"), (2, f"{MARK}<p>About a&lt;b</p>"), (3, "About a<b")]


async def test_a_stream_is_in_order(folder: Folder) -> None:
    """A slow first line holds back the replies behind it, not the work on them; equal requests are asked once."""
    folder.questions("slow", *[f"q{number}" for number in range(8)], "q3")
    slow = asyncio.Event()

    class Slow(Provider):
        async def complete(self, call: Call, *, deadline: float) -> Completion:
            done = await super().complete(call, deadline=deadline)
            if call.messages[-1]["content"] == "slow":
                await slow.wait()
            return done

    provider = Slow()
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    running = asyncio.create_task(folder.batch(provider, wire=writing))
    await provider.reached(9)
    with pytest.raises(BlockingIOError):
        os.read(reading, 1)
    slow.set()
    assert await running == 0
    os.close(writing)
    lines = [json.loads(line) for line in os.read(reading, 65536).splitlines()]
    os.close(reading)
    assert [(line["line"], line["data"]) for line in lines] == answers("slow", *[f"q{n}" for n in range(8)], "q3")
    assert len(provider.calls) == 9
    assert not folder.target.exists()


async def test_a_stream_that_nobody_reads_ends_it(folder: Folder) -> None:
    """With a sentence; what is under way is given up."""
    folder.questions("a", "b")
    reading, writing = os.pipe()
    os.close(reading)
    assert await folder.batch(Provider(), wire=writing) == 1
    os.close(writing)
    assert "The replies cannot be written: Broken pipe." in folder.texts[-1]
