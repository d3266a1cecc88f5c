"""A provider that tests control, and a recorder of a command's progress. No I/O lives here."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from sidecar.core.ports import Call, Completion, Usage


class HeldUpstream:
    """A provider that answers `text`, or raises `failure`, once its gate is open."""

    def __init__(self, *, text: str = "An answer.", held: bool = False, size: int = 0) -> None:
        self.text = text
        self.size = size
        self.failure: Exception | None = None
        self.gate = asyncio.Event()
        if not held:
            self.gate.set()
        self.calls: list[Call] = []
        self.running = 0
        self.left = asyncio.Event()
        """Set once a call was cancelled."""
        self._came = asyncio.Condition()

    async def complete(self, call: Call, *, deadline: float) -> Completion:
        self.calls.append(call)
        self.running += 1
        try:
            async with self._came:
                self._came.notify_all()
            await self.gate.wait()
        except asyncio.CancelledError:
            self.left.set()
            raise
        finally:
            self.running -= 1
        if self.failure is not None:
            raise self.failure
        return Completion(text=self.text, size=self.size)

    async def reached(self, calls: int = 1) -> None:
        """Return once `calls` calls have come."""
        async with self._came:
            await self._came.wait_for(lambda: len(self.calls) >= calls)

    async def stream(self, call: Call, *, deadline: float, usage: Usage | None = None) -> AsyncGenerator[bytes, None]:
        self.calls.append(call)
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        yield b"{}"

    def warm(self) -> None:
        """Nothing to load."""

    async def aclose(self) -> None:
        """Nothing to free."""


class ProgressRecorder:
    """Records the progress that a command reports."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.steps = 0
        self.spoke = asyncio.Event()
        """Set once a text was recorded."""

    def aside(self, wire: int) -> contextlib.nullcontext[None]:
        return contextlib.nullcontext()

    def conclude(self, text: str, *, failed: bool) -> None:
        self.say(text)

    def step(self, count: int = 1) -> None:
        self.steps += count

    def say(self, text: str) -> None:
        self.texts.append(text)
        self.spoke.set()
