"""A completer for the actions: it answers from a script, records its prompts, and waits for a test's gate."""

import asyncio
from collections.abc import Callable
from typing import Final

from sidecar.core.contract import Action, Request
from sidecar.core.errors import SidecarError
from sidecar.core.ports import Prompt, Purpose
from sidecar.core.reach import EVERY
from sidecar.engine.actions import Limits
from sidecar.engine.context_size import ContextSizes

Answer = Callable[[Prompt], str]

LIMITS: Final = Limits(max_tokens=1000, summarize_threshold=100, context_tokens=16_000)


def request(content: str, *, action: Action = "chat", context: str = "") -> Request:
    return Request(action=action, content=content, context=context)


def at_words(text: str, fits: int, tokens: int) -> list[str]:
    """Split a text at words: a word is a token."""
    words = text.split()
    if len(words) <= fits:
        return [text]
    return [" ".join(words[start : start + tokens]) for start in range(0, len(words), tokens)]


class Scripted:
    """Answers each prompt with `answer`, or raises what `failures` has for its purpose."""

    def __init__(
        self,
        answer: Answer = lambda prompt: f"<{prompt.purpose}>",
        *,
        failures: dict[Purpose, SidecarError] | None = None,
        splitting: Callable[[str, int, int], list[str]] = at_words,
        gate: asyncio.Event | None = None,
        crowd: int = 1,
    ) -> None:
        self.answer = answer
        self.failures = failures or {}
        self.splitting = splitting
        self.gate = gate
        self.crowd = crowd
        self.crowded = asyncio.Event()
        """Set once `crowd` calls have been under way together."""
        self.prompts: list[Prompt] = []
        self.splits: list[tuple[int, int]] = []
        self.context = ContextSizes(lambda _: [""]).of(EVERY["interactive"])
        self.room = self.context.room
        self.exceeded = self.context.exceeded
        self.running = 0
        self.most_running = 0
        self.cancelled = 0

    async def complete(self, prompt: Prompt) -> str:
        self.prompts.append(prompt)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        if self.running >= self.crowd:
            self.crowded.set()
        try:
            if prompt.purpose in self.failures:
                raise self.failures[prompt.purpose]
            if self.gate is not None:
                await self.gate.wait()
            else:
                await asyncio.sleep(0)  # let the others come in, as a real call would
            return self.answer(prompt)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1

    async def split(self, text: str, *, fits: int, tokens: int) -> list[str]:
        self.splits.append((fits, tokens))
        return self.splitting(text, fits, tokens)

    @property
    def purposes(self) -> list[Purpose]:
        return [prompt.purpose for prompt in self.prompts]
