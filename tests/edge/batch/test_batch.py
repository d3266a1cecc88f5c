"""Promises of the batch: every request answered once, in order, whatever happened before."""

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sidecar.batch import runner as running_module
from sidecar.batch.batch import Batch, serve_batch
from sidecar.core.errors import UpstreamAuth, UpstreamError, UpstreamUnreachable
from sidecar.core.ports import Call, Completion
from sidecar.runtime.line_source import opened
from sidecar.wiring import service_of
from tests.support.held_provider import HeldUpstream, ProgressRecorder
from tests.support.http_sidecar import settings_of
from tests.support.scripted_calls import refusal

PATIENCE = 60.0


class Provider(HeldUpstream):
    """Answers with the question; fails where `fails` has an error for it."""

    def __init__(self, fails: Callable[[str], Exception | None] = lambda _: None, *, held: bool = False) -> None:
        super().__init__(held=held)
        self.fails = fails
        self.most = 0

    async def complete(self, call: Call, *, deadline: float) -> Completion:
        self.most = max(self.most, self.running + 1)
        await super().complete(call, deadline=deadline)
        question = call.messages[-1]["content"]
        if (failure := self.fails(question)) is not None:
            raise failure
        return Completion(text=f"About {question}")

    @property
    def asked(self) -> list[str]:
        return [call.messages[-1]["content"] for call in self.calls]


class Folder(ProgressRecorder):
    """IN, OUT and what is said about them."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path / "in.jsonl"
        self.target = path / "out.jsonl"
        self.part = path / "out.jsonl.part"

    def questions(self, *contents: str) -> None:
        self.source.write_text("".join(json.dumps({"action": "chat", "content": x}) + "\n" for x in contents))

    @property
    def replies(self) -> list[Any]:
        return [json.loads(line) for line in self.target.read_text().splitlines()]

    async def batch(
        self,
        provider: HeldUpstream,
        *,
        stop: asyncio.Event | None = None,
        retry_failed: bool = False,
        patience: float | None = None,
        wire: int = -1,
        **named: str,
    ) -> int:
        """Run it; the exit code."""
        settings = settings_of(**{"CONCURRENCY": "4"} | named)
        service = service_of(settings, provider)
        with opened(str(self.source), 2**20) as source:
            batch = Batch(source, self.target, wire, retry_failed, patience)
            async with asyncio.timeout(PATIENCE):
                return await serve_batch(service, settings, batch, self, stop or asyncio.Event())


@pytest.fixture
async def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def answers(*questions: str) -> list[tuple[int, str]]:
    return [(number, f"About {question}") for number, question in enumerate(questions, 1)]


def data(folder: Folder) -> list[tuple[int, str]]:
    return [(reply["line"], reply["data"]) for reply in folder.replies]


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


async def test_a_provider_that_is_down_is_waited_for(folder: Folder) -> None:
    """That is said once, and no request suffers from it."""
    names = [f"q{number}" for number in range(30)]
    folder.questions(*names)
    provider = Provider(lambda _: UpstreamUnreachable())
    running = asyncio.create_task(folder.batch(provider))
    await asyncio.wait_for(folder.spoke.wait(), PATIENCE)
    assert folder.texts == ["The AI provider cannot be reached. Waiting until it is back."]
    provider.fails = lambda _: None
    assert await running == 0
    assert data(folder) == answers(*names)
    assert sum("Waiting" in said for said in folder.texts) == 1


async def test_a_provider_that_has_no_room_at_all_is_waited_for(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is said too, and costs no line a try, however long it lasts."""
    monkeypatch.setattr(running_module, "_REFUSING_SECONDS", 0.05)
    names = [f"q{number}" for number in range(30)]
    folder.questions(*names)
    provider = Provider(lambda _: UpstreamError(status=503, scope="capacity"))
    running = asyncio.create_task(folder.batch(provider))
    await asyncio.wait_for(folder.spoke.wait(), PATIENCE)
    assert folder.texts == ["The AI provider refuses every call for now. Waiting until it is back."]
    provider.fails = lambda _: None
    assert await running == 0
    assert data(folder) == answers(*names)


async def test_waiting_for_the_provider_can_end(folder: Folder) -> None:
    """After so many seconds, with what there is kept."""
    folder.questions(*[f"q{number}" for number in range(30)])
    assert await folder.batch(Provider(lambda _: UpstreamUnreachable()), patience=0.0) == 1
    assert "It was waited for 0 seconds." in folder.texts[-1]
    assert folder.part.exists()


async def test_a_refused_key_ends_it(folder: Folder) -> None:
    """Asking on would be in vain; with the right key the same command asks all that was not answered."""
    names = [f"q{number}" for number in range(30)]
    folder.questions(*names)
    assert await folder.batch(Provider(lambda _: UpstreamAuth(status=401))) == 1
    assert "OPENAI_API_KEY" in folder.texts[-1]
    assert "0 more answers" in folder.texts[-1]
    provider = Provider()
    assert await folder.batch(provider) == 0
    assert sorted(provider.asked) == sorted(names)


async def test_a_limit_of_the_provider_is_respected(folder: Folder) -> None:
    """A line that the provider refuses for want of room is sent again until it is answered; no try is used up."""
    names = [f"q{number}" for number in range(12)]
    folder.questions(*names)
    refused: list[str] = []

    def fails(question: str) -> Exception | None:
        if question in refused:
            return None
        refused.append(question)
        return refusal() if question in ("q3", "q7") else None

    assert await folder.batch(Provider(fails)) == 0
    assert data(folder) == answers(*names)


async def test_a_stop_lets_finish_what_is_under_way(folder: Folder) -> None:
    """Nothing more is taken, what was taken is kept, and the next run asks the rest alone."""
    names = [f"q{number}" for number in range(20)]
    folder.questions(*names)
    stop, provider = asyncio.Event(), Provider(held=True)
    running = asyncio.create_task(folder.batch(provider, stop=stop))
    await provider.reached(4)
    stop.set()
    await asyncio.sleep(0)
    provider.gate.set()
    assert await running == 1
    assert len(provider.calls) == 4
    assert folder.texts[-1].startswith("It was told to stop. 4 more answers are kept in ")
    rest = Provider()
    assert await folder.batch(rest) == 0
    assert len(rest.calls) == 16
    assert data(folder) == answers(*names)


async def test_a_stop_of_a_stream_says_that_not_all_is_there(folder: Folder) -> None:
    """Every line was taken by then, and workers without one had found the end; replies are missing all the same."""
    folder.questions("a", "b")
    stop, provider = asyncio.Event(), Provider(held=True)
    reading, writing = os.pipe()
    running = asyncio.create_task(folder.batch(provider, stop=stop, wire=writing, SHUTDOWN_GRACE="0.1"))
    await provider.reached(2)
    stop.set()
    assert await running == 1
    os.close(writing)
    assert os.read(reading, 100) == b""
    os.close(reading)


async def test_a_stop_does_not_wait_for_ever(folder: Folder) -> None:
    """What is under way after the grace is given up and asked again."""
    folder.questions("a", "b")
    stop, provider = asyncio.Event(), Provider(held=True)
    running = asyncio.create_task(folder.batch(provider, stop=stop, SHUTDOWN_GRACE="0.1"))
    await provider.reached(2)
    stop.set()
    assert await running == 1
    assert provider.left.is_set()
    assert await folder.batch(Provider()) == 0


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
