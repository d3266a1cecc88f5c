"""The other end of the wire for stdio tests: a session over two pipes, and a provider that echoes. No promises here."""

import asyncio
import json
import os
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sidecar.config.load import load
from sidecar.config.settings import Settings
from sidecar.core.ports import Call, Completion, Usage
from sidecar.engine.service import Service
from sidecar.service import service_of
from sidecar.stdio.server import serve_stdio

PATIENCE = 20.0
"""Seconds after which a test that waits for the wire has failed."""


def settings_of(**named: str) -> Settings:
    """Return settings from an environment with `named` in it, and none of this machine's."""
    return load({}, None, {"OPENAI_API_KEY": "sk-canary-key", "FORMAT": "markdown", **named})


def chat(content: str) -> bytes:
    return json.dumps({"action": "chat", "content": content}).encode() + b"\n"


class Echo:
    """A provider that answers with the question; one that begins with "slow" waits until `released` is set."""

    def __init__(self) -> None:
        self.released = asyncio.Event()
        self.running = 0
        self.most = 0
        """The most calls under way at once."""
        self.left = asyncio.Event()
        """Set once a call was cancelled."""
        self._changed = asyncio.Event()
        self.questions: list[str] = []

    async def complete(self, call: Call, *, deadline: float) -> Completion:
        question = str(call.messages[-1]["content"])
        self.questions.append(question)
        self.running += 1
        self.most = max(self.most, self.running)
        self._change()
        try:
            if question.startswith("slow"):
                await self.released.wait()
        except asyncio.CancelledError:
            self.left.set()
            raise
        finally:
            self.running -= 1
            self._change()
        return Completion(text=question)

    def _change(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def reached(self, calls: int, *, running: int | None = None) -> None:
        """Return once `calls` calls have come and, if given, exactly `running` of them are under way."""
        async with asyncio.timeout(PATIENCE):
            while len(self.questions) < calls or self.running != (self.running if running is None else running):
                await self._changed.wait()

    async def stream(self, call: Call, *, deadline: float, usage: Usage | None = None) -> AsyncGenerator[bytes, None]:
        yield b"{}"

    async def aclose(self) -> None:
        """Nothing to free."""


class Session:
    """A session under way: its input, its replies and its end."""

    def __init__(self, service: Service, upstream: Echo) -> None:
        self.service = service
        self.upstream = upstream
        self.stop = asyncio.Event()
        self.task: asyncio.Task[int]
        self._writer: asyncio.WriteTransport
        self._reader: asyncio.StreamReader
        self._reading: asyncio.ReadTransport

    async def open(self, settings: Settings, *, source: int | None, waited: float) -> None:
        loop = asyncio.get_running_loop()
        piped, ours = os.pipe()
        self._writer, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(ours, "wb", 0))
        hear, sink = os.pipe()
        self._reader = asyncio.StreamReader(limit=2**26)
        self._reading, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(self._reader), os.fdopen(hear, "rb", 0)
        )
        self.task = asyncio.create_task(self._run(settings, piped, sink, source, waited))

    async def _run(self, settings: Settings, piped: int, sink: int, source: int | None, waited: float) -> int:
        try:
            return await serve_stdio(
                self.service,
                settings,
                source=piped if source is None else source,
                sink=sink,
                stop=self.stop,
                waited=waited,
            )
        finally:
            os.close(piped)
            os.close(sink)

    def send(self, *lines: bytes) -> None:
        self._writer.write(b"".join(lines))

    def finish(self) -> None:
        """End the input once all lines are through."""
        self._writer.close()

    async def receive(self) -> Any:
        """Return the next reply."""
        async with asyncio.timeout(PATIENCE):
            line = await self._reader.readline()
        assert line.endswith(b"\n"), line
        return json.loads(line)

    async def receive_all(self) -> list[Any]:
        """Return the replies up to the end."""
        async with asyncio.timeout(PATIENCE):
            return [json.loads(line) for line in (await self._reader.read()).splitlines()]

    def leave(self) -> None:
        """Stop reading for good."""
        self._reading.close()

    async def code(self) -> int:
        """Return the exit code."""
        async with asyncio.timeout(PATIENCE):
            return await self.task

    async def close(self) -> None:
        if not self._writer.is_closing():
            self._writer.abort()
        self._reading.close()
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


@asynccontextmanager
async def session(*, source: int | None = None, waited: float = 0.0, **named: str) -> AsyncIterator[Session]:
    """Run a session under the settings `named`; it reads `source`, if given, instead of the pipe."""
    settings = settings_of(**named)
    upstream = Echo()
    opened = Session(service_of(settings, upstream), upstream)
    await opened.open(settings, source=source, waited=waited)
    try:
        yield opened
    finally:
        await opened.close()
