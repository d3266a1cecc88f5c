"""Ports between layers: one provider call, its completion, and the protocols of what makes them."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Final, Literal, Protocol

import msgspec

from sidecar.core.errors import ContextExceeded

WRITTEN: Final = b"data: "
"""First bytes of whole events in a stream; the data of one event is a JSON object and begins otherwise."""

Purpose = Literal["chat", "context", "summary", "part", "reduction", "analysis"]
"""Purpose of a provider call: a chat, the summary of its context, a text's summary, the summary of one of its parts,
the summary of summaries, an analysis."""

Traffic = Literal["interactive", "background", "jobs"]
"""Class of a text: a caller waits for the answer, a caller said that it may wait, or a job or a line of a batch."""
TRAFFIC: Final[tuple[Traffic, ...]] = ("interactive", "background", "jobs")


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One provider call: chat messages and their limit, before an adapter adds model and key."""

    messages: Sequence[Mapping[str, Any]]
    max_tokens: int
    """The most tokens of the answer."""
    user: str = ""
    """The user's pseudonym for the provider (an HMAC); blank sends none."""
    model: str = ""
    """The requested model; blank takes the configured one."""
    extra: Mapping[str, Any] = {}
    """Further fields of the request's body, over EXTRA_BODY."""
    trace: Mapping[str, str] = {}
    """Headers of the trace, which go to the provider with PASS_TRACEPARENT only."""


class Completion(msgspec.Struct, frozen=True, kw_only=True):
    """One whole answer of the provider."""

    text: str
    finish_reason: str = "stop"
    model: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    body: Mapping[str, Any] = {}
    """The provider's answer as it came, for routes that pass it on; thoughts included, which `text` leaves out."""
    size: int = 0
    """Bytes of the answer as it came."""
    lacks: str = ""
    """The sentence that says why `text` is blank where `body` is not."""


class Usage(msgspec.Struct):
    """Token counts of one stream, as far as its events named them."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


class Prompt(msgspec.Struct, frozen=True, kw_only=True):
    """Prompt of an action for the provider."""

    purpose: Purpose
    system: str
    user: str
    max_tokens: int
    within: float = 1.0
    """The share of the time left that this call may take, from 0 to 1."""


class CompleterPort(Protocol):
    """Port: completes an action's prompts, and knows the model's context. Raises `SidecarError` only."""

    async def complete(self, prompt: Prompt) -> str:
        """Return the answer's text, never blank."""
        ...

    async def split(self, text: str, *, fits: int, tokens: int) -> list[str]:
        """Return `text` whole if it has at most `fits` tokens, else its parts of at most `tokens` each, in order."""
        ...

    def room(self, configured: int) -> int:
        """Return the tokens that one call may take: `configured`, or less where refusals taught it."""
        ...

    def exceeded(self, failure: ContextExceeded, tried: int) -> bool:
        """Learn from the refusal of a text cut for `tried` tokens; return whether a smaller size is worth a try."""
        ...


class Upstream(Protocol):
    """Port: the provider, one attempt at a time. Deadlines are points on the event loop's clock, in seconds.

    `complete` and `stream` raise only the `UpstreamFailure` tree, `DeadlineExceeded` and cancellation.
    """

    async def complete(self, call: Call, *, deadline: float) -> Completion:
        """Return the whole answer to `call`."""
        ...

    def stream(self, call: Call, *, deadline: float, usage: Usage | None = None) -> AsyncGenerator[bytes, None]:
        """Yield the answer's events, without the closing `[DONE]`.

        An item is the data of one event, which is a JSON object, or several events as they are written: each `WRITTEN`,
        a line of data and a blank line.

        `deadline` is for the first event; after that event the caller decides how long to go on, and blank data is a
        sign of life from a provider that is still at work. `usage` takes the counts that the events name. Closing the
        iterator ends the call.
        """
        ...

    async def aclose(self) -> None:
        """Close connections; the caller makes sure that every call has ended."""
        ...
