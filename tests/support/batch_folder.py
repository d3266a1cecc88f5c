"""A batch on the test's own loop: its files, and a provider that answers with the question. No promises here."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sidecar.batch.batch import Batch, serve_batch
from sidecar.core.ports import Call, Completion
from sidecar.runtime.line_source import opened
from sidecar.service import service_of
from tests.support.held_provider import HeldUpstream, ProgressRecorder
from tests.support.http_sidecar import settings_of

PATIENCE = 60.0


class Provider(HeldUpstream):
    """A provider that answers with the question, or fails where `fails` has an error for the question."""

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
    """The files IN and OUT, and what the batch says about both."""

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
        """Run the batch; return the exit code."""
        settings = settings_of(**{"CONCURRENCY": "4"} | named)
        service = service_of(settings, provider)
        with opened(str(self.source), 2**20) as source:
            batch = Batch(source, self.target, wire, retry_failed, patience)
            async with asyncio.timeout(PATIENCE):
                return await serve_batch(service, settings, batch, self, stop or asyncio.Event())


def answers(*questions: str) -> list[tuple[int, str]]:
    return [(number, f"About {question}") for number, question in enumerate(questions, 1)]


def data(folder: Folder) -> list[tuple[int, str]]:
    return [(reply["line"], reply["data"]) for reply in folder.replies]
