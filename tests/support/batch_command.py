"""The command `batch` for tests: its input and output, started, watched and finished. No promises here."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Any, NamedTuple

from sidecar.core.contract import Request
from tests.support.paths import ROOT
from tests.support.server_process import finished
from tests.support.workers import PATIENCE

KEY = "sk-canary4718"


class Folder:
    """The files IN and OUT, and the command on both."""

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
        """Return the number of replies in the journal."""
        return self.part.read_bytes().count(b'"success"') if self.part.exists() else 0

    async def start(self, provider: str, *words: str, largest: int = 0, stderr: Any = PIPE, **named: str) -> Process:
        """Start the command in the provider's environment and `named` alone; no file may reach `largest` bytes."""
        command = [sys.executable, "-m", "sidecar", "batch", str(self.source), str(self.target), *words]
        if largest:
            limited = (
                "import os, resource, sys; n = int(sys.argv[1]); resource.setrlimit(resource.RLIMIT_FSIZE, (n, n))"
            )
            command = [sys.executable, "-c", f"{limited}; os.execv(sys.argv[2], sys.argv[2:])", str(largest), *command]
        env = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": provider, "CONCURRENCY": "8", "LOG_LEVEL": "debug"} | named
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


def right(folder: Folder, count: int) -> None:
    """Check that each line has its own answer, and that no other file is left."""
    assert [(r["line"], r.get("data")) for r in folder.replies] == [
        (n + 1, f"Summary of Lecture{n}x.") for n in range(count)
    ]
    assert sorted(path.name for path in folder.source.parent.iterdir()) == ["in.jsonl", "out.jsonl"]
