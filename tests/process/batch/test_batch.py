"""Promises of `batch` as cron runs it: killed, stopped, without disk, on pipes and terminals; every call counted."""

import asyncio
import json
import os
import random
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from sidecar.core.contract import Request
from sidecar.demo.options import Options
from sidecar.demo.server import serve
from tests.support.paths import ROOT
from tests.support.server_process import finished
from tests.support.terminals import shown, terminal
from tests.support.workers import PATIENCE, CountingProvider, counting_provider, lecture

KEY = "sk-canary4718"
TEXT = "canaryTEXT4719"


class Folder:
    """IN, OUT and the command on them."""

    def __init__(self, path: Path) -> None:
        self.source = path / "in.jsonl"
        self.target = path / "out.jsonl"
        self.part = path / "out.jsonl.part"

    def ask(self, requests: list[Request]) -> None:
        lines = [json.dumps({"action": r.action, "content": r.content}) + "\n" for r in requests]
        self.source.write_text("".join(lines))

    @property
    def replies(self) -> list[Any]:
        return [json.loads(line) for line in self.target.read_text().splitlines()]

    def journaled(self) -> int:
        """Replies in the journal."""
        return self.part.read_bytes().count(b'"success"') if self.part.exists() else 0

    async def start(self, provider: str, *words: str, largest: int = 0, stderr: Any = PIPE) -> Process:
        """The command in an environment of nothing but the provider's; no file may get `largest` bytes or more."""
        command = [sys.executable, "-m", "sidecar", "batch", str(self.source), str(self.target), *words]
        if largest:
            limited = (
                "import os, resource, sys; n = int(sys.argv[1]); resource.setrlimit(resource.RLIMIT_FSIZE, (n, n))"
            )
            command = [sys.executable, "-c", f"{limited}; os.execv(sys.argv[2], sys.argv[2:])", str(largest), *command]
        env = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": provider, "CONCURRENCY": "8", "LOG_LEVEL": "debug"}
        return await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=env, stdin=PIPE, stdout=PIPE, stderr=stderr)

    async def run(self, provider: str, *words: str, largest: int = 0) -> "Done":
        return await finish(await self.start(provider, *words, largest=largest))

    async def until(self, process: Process, replies: int) -> None:
        """Return once so many are in the journal, or the process has ended."""
        async with asyncio.timeout(PATIENCE):
            while process.returncode is None and self.journaled() < replies:  # noqa: ASYNC110 - it is another's file
                await asyncio.sleep(0.01)


class Done(NamedTuple):
    """What the command left."""

    code: int
    out: bytes
    said: str


async def finish(process: Process, stdin: bytes = b"") -> Done:
    return Done(*await finished(process, stdin))


@pytest.fixture
async def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def right(folder: Folder, count: int) -> None:
    """Each line has its own answer."""
    assert [(r["line"], r.get("data")) for r in folder.replies] == [
        (n + 1, f"Summary of Lecture{n}x.") for n in range(count)
    ]
    assert sorted(path.name for path in folder.source.parent.iterdir()) == ["in.jsonl", "out.jsonl"]


async def killed(folder: Folder, provider: CountingProvider, kills: int, dice: random.Random) -> None:
    for _ in range(kills):
        process = await folder.start(provider.url)
        await folder.until(process, folder.journaled() + dice.randrange(1, 30))
        await asyncio.sleep(dice.uniform(0, 0.05))
        if process.returncode is None:
            process.kill()
        await finish(process)


async def test_after_a_kill_it_goes_on(folder: Folder) -> None:
    """`kill -9` at moments of chance: nothing that was answered is asked again, nothing is lost or mixed up."""
    folder.ask([lecture(number, 3) for number in range(200)])
    kills = 6
    async with counting_provider() as provider:
        provider.latency = 0.02
        await killed(folder, provider, kills, random.Random(7))
        done = await folder.run(provider.url)
        assert done.code == 0
        right(folder, 200)
        # Calls under way when it died: at most one a slot and kill.
        assert sum(count - 1 for count in provider.calls.values()) <= kills * 8
        assert len(provider.calls) == 200
        calls = provider.calls.total()
        again = await folder.run(provider.url)
        assert (again.code, provider.calls.total()) == (0, calls)
        right(folder, 200)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_wastes_nothing(folder: Folder, number: signal.Signals) -> None:
    """What is under way is finished and kept, and it is said how to go on."""
    folder.ask([lecture(n, 3) for n in range(300)])
    async with counting_provider() as provider:
        provider.latency = 0.1
        process = await folder.start(provider.url)
        await folder.until(process, 10)
        process.send_signal(number)
        done = await finish(process)
        assert done.code == 1
        assert "the same command goes on from there" in done.said
        assert "Traceback" not in done.said
        assert folder.journaled() == provider.calls.total() < 300
        provider.latency = 0.0
        assert (await folder.run(provider.url)).code == 0
        right(folder, 300)
        assert set(provider.calls.values()) == {1}


async def test_a_full_disk_spoils_nothing(folder: Folder) -> None:
    """What was kept stays right; there is no half output; with room again nothing is asked twice but what was lost."""
    folder.ask([lecture(n, 3) for n in range(300)])
    async with counting_provider() as provider:
        done = await folder.run(provider.url, largest=10_000)
        assert done.code == 1
        assert "Replies cannot be kept in the journal: the disk is full." in done.said
        assert "Traceback" not in done.said
        assert 0 < folder.journaled() < 300
        assert folder.part.read_bytes().endswith(b"}\n")
        assert (await folder.run(provider.url)).code == 0
        right(folder, 300)
        assert sum(count - 1 for count in provider.calls.values()) <= 8


async def test_a_disk_that_is_full_at_the_end_costs_nothing(folder: Folder) -> None:
    """The journal fits, the output does not: it is put together later, from what is there."""
    folder.ask([lecture(n, 3) for n in range(300)])
    async with counting_provider() as provider:
        assert (await folder.run(provider.url)).code == 0
        # A line of the output is longer by its number than its record.
        size = folder.target.stat().st_size - 300 * len('"line":')
        folder.target.unlink()
        provider.calls.clear()
        done = await folder.run(provider.url, largest=size)
        assert done.code == 1
        assert "out.jsonl: the disk is full." in done.said
        assert sorted(path.name for path in folder.source.parent.iterdir()) == ["in.jsonl", "out.jsonl.part"]
        assert (await folder.run(provider.url)).code == 0
        right(folder, 300)
        assert set(provider.calls.values()) == {1}


async def test_two_at_once_on_one_output(folder: Folder) -> None:
    """The second one leaves at once and says why."""
    folder.ask([lecture(n, 3) for n in range(50)])
    async with counting_provider() as provider:
        provider.latency = 0.5
        process = await folder.start(provider.url)
        await folder.until(process, 1)
        process.send_signal(signal.SIGSTOP)  # it must not be done before the other one has looked
        other = await folder.run(provider.url)
        process.send_signal(signal.SIGCONT)
        assert other.code == 1
        assert "Another batch is at work on the same output" in other.said
        assert (await finish(process)).code == 0
        right(folder, 50)
        assert set(provider.calls.values()) == {1}


async def test_pipes_on_both_ends(folder: Folder) -> None:
    """Requests from standard input, replies to standard output and nothing else there."""
    async with counting_provider() as provider:
        env = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": provider.url, "PATH": os.environ["PATH"]}
        folder.ask([lecture(n, 3) for n in range(20)])
        process = await asyncio.create_subprocess_exec(
            *[sys.executable, "-m", "sidecar", "batch", "-", "-"],
            cwd=ROOT,
            env=env,
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
        )
        done = await finish(process, folder.source.read_bytes())
        assert done.code == 0
        lines = [json.loads(line) for line in done.out.splitlines()]
        assert [line["data"] for line in lines] == [f"Summary of Lecture{n}x." for n in range(20)]


@pytest.mark.parametrize("target", ["/dev/stdout", "/dev/full"])
async def test_a_device_is_written_to_and_not_replaced(folder: Folder, target: str) -> None:
    """What is no file gets the replies as they come."""
    folder.ask([lecture(n, 3) for n in range(3)])
    folder.target = Path(target)
    async with counting_provider() as provider:
        done = await folder.run(provider.url)
    if target == "/dev/full":
        assert (done.code, done.out) == (1, b"")
        assert "The replies cannot be written: No space left on device." in done.said
    else:
        assert [json.loads(line)["line"] for line in done.out.splitlines()] == [1, 2, 3]


async def test_it_needs_neither_key_nor_provider_for_a_rehearsal(folder: Folder) -> None:
    """With --demo every request has an answer."""
    folder.ask([lecture(n, 3) for n in range(5)])
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "sidecar", "batch", "--demo", str(folder.source), str(folder.target)],
        cwd=ROOT,
        env={},
        stdin=PIPE,
        stderr=PIPE,
    )
    assert (await finish(process)).code == 0
    assert all(reply["success"] for reply in folder.replies)


async def test_it_reveals_no_secret(folder: Folder) -> None:
    """Through wrong lines and troubles of the provider: neither key nor a word of a request on stderr or in errors."""
    troubles = ["status=400", "status=404", "garbage=html", "garbage=nocontent", "cut=body"]
    contents = [f"{TEXT} [demo {trouble}]" for trouble in troubles]
    folder.ask([Request(action="chat", content=content) for content in contents])
    with folder.source.open("a") as file:
        file.write(f'{{"{TEXT}\n{{"action": "{TEXT}", "content": "x"}}\n')
    async with serve(Options()) as demo:
        done = await folder.run(f"{demo.url}/v1")
        assert done.code == 1
        refused = await folder.run(f"{demo.url}/v1", "--extra-body=canary")
        assert refused.code == 2
    failures = [json.dumps(reply) for reply in folder.replies if not reply["success"]]
    assert len(failures) == len(troubles) + 2
    for text in (done.said, refused.said, *failures):
        assert TEXT not in text
        assert KEY not in text
    assert TEXT not in done.said


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["in.jsonl"], "required: OUT"),
        (["in.jsonl", "in.jsonl"], "is what is to be read"),
        (["in.jsonl", "."], "is a folder"),
        (["in.jsonl", "nowhere/out"], "there is no such folder"),
        (["in.jsonl", "notes"], "holds something else"),
        (["missing", "out"], "No such file"),
        (["in.jsonl", "out", "--wait=soon"], "--wait=soon: must be seconds"),
        (["in.jsonl", "out", "--port=x"], "PORT=x"),
        (["in.jsonl", "out", "--env-file=proxy"], "batch: https_proxy: must be"),
    ],
)
async def test_a_wrong_call_does_nothing(folder: Folder, words: list[str], why: str) -> None:
    """Exit code 2 and why; no file is touched or made."""
    folder.ask([lecture(1)])
    where = folder.source.parent
    (where / "notes").write_text('{"action": "chat"}\n')
    (where / "proxy").write_text("https_proxy=socks5://127.0.0.1:1\n")
    before = {path: path.read_bytes() for path in where.iterdir()}
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "sidecar", "batch", *words],
        cwd=where,
        env={"OPENAI_API_KEY": KEY, "PYTHONPATH": str(ROOT)},
        stdin=PIPE,
        stderr=PIPE,
    )
    done = await finish(process)
    assert done.code == 2
    assert why in done.said
    assert "Traceback" not in done.said
    assert {path: path.read_bytes() for path in where.iterdir()} == before


async def test_on_a_terminal_there_is_a_bar(folder: Folder) -> None:
    """It moves to the end, and what is said stands on lines of its own."""
    folder.ask([lecture(n, 3) for n in range(30)])
    async with counting_provider() as provider:
        with terminal() as (ours, theirs):
            process = await folder.start(provider.url, stderr=theirs)
            os.close(theirs)
            text = asyncio.create_task(asyncio.to_thread(shown, ours))
            done = await finish(process)
            bar = await text
    assert done.code == 0
    assert b"100%" in bar
    assert b"30/30" in bar
    assert b"\nopenai-moodle-sidecar batch: 30 answered" in bar.replace(b"\r", b"\n")
