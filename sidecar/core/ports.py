"""What the floors ask of each other: one provider call, its answer, and who can make it."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Literal, Protocol

import msgspec

Purpose = Literal["chat", "context", "summary", "part", "reduction", "analysis"]
"""What a provider call is for: a chat, the summary of its context, a text's summary, that of one of its parts, the
summary of summaries, an analysis."""


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One provider call: chat messages and their limit, before an adapter adds model and key."""

    messages: Sequence[Mapping[str, Any]]
    max_tokens: int
    """The most tokens of the answer."""
    user: str = ""
    """Who asks, as the provider may know it (an HMAC); blank sends nothing."""
    model: str = ""
    """The model asked for; blank takes the configured one."""
    extra: Mapping[str, Any] = {}
    """Further fields of the request's body, over EXTRA_BODY."""


class Completion(msgspec.Struct, frozen=True, kw_only=True):
    """One whole answer of the provider."""

    text: str
    finish_reason: str = "stop"
    model: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    body: Mapping[str, Any] = {}
    """The answer as it came, for doors that pass it on."""


class Prompt(msgspec.Struct, frozen=True, kw_only=True):
    """What an action wants said to the provider."""

    purpose: Purpose
    system: str
    user: str
    max_tokens: int
    within: float = 1.0
    """The share of the time left that this call may take, from 0 to 1."""


class CompleterPort(Protocol):
    """Port: completes an action's prompts. Every failure it raises is a `SidecarError`."""

    async def complete(self, prompt: Prompt) -> str:
        """The answer's text, never blank."""
        ...

    async def split(self, text: str, *, fits: int, tokens: int) -> list[str]:
        """`text` whole where it has at most `fits` tokens, else its parts of at most `tokens` each, in order."""
        ...


class Upstream(Protocol):
    """The provider, one attempt at a time. Deadlines are points on the event loop's clock, in seconds.

    Both verbs raise the `UpstreamFailure` tree and `DeadlineExceeded`, and nothing else but cancellation.
    """

    async def complete(self, call: Call, *, deadline: float) -> Completion:
        """The whole answer to `call`."""
        ...

    def stream(self, call: Call, *, deadline: float) -> AsyncGenerator[bytes, None]:
        """The answer's server-sent data, one JSON text an event, without the closing `[DONE]`.

        `deadline` is the first event's; after it the caller decides how long to go on. Closing the iterator
        ends the call.
        """
        ...

    async def aclose(self) -> None:
        """Free connections; no call may be under way."""
        ...
