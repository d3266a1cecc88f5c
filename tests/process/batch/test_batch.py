"""Promises of `batch` as shells start it: on pipes, devices and terminals, in rehearsal, and called wrongly."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from sidecar.core.contract import Request
from sidecar.demo.options import Options
from sidecar.demo.server import serve
from tests.support.batch_command import KEY, Folder, finish
from tests.support.paths import ROOT
from tests.support.terminals import shown, terminal
from tests.support.workers import counting_provider, lecture

TEXT = "canaryTEXT4719"


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
