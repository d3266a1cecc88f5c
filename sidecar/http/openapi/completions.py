"""OpenAI's interface: chat completions, whole and in events, and the model."""

from typing import Annotated, Any, Literal

from pydantic import Field

from sidecar.http.openapi.base import Open, Shape
from sidecar.http.openapi.status import Count

Name = Annotated[str, Field(max_length=128)]


class Message(Open):
    """One message of a chat. The provider judges what is in it."""

    role: str
    """`system`, `user`, `assistant` or whatever else the provider knows."""
    content: str | list[dict[str, Any]] = None  # type: ignore[assignment] # may be absent, and is not null then
    """The text, or its parts. Null only in a message that calls a tool."""


class ChatRequest(Open):
    """A chat. What is not described here is passed to the provider as it came."""

    messages: Annotated[list[Message], Field(min_length=1)]
    model: Annotated[str, Field(max_length=200, pattern="^[ -~]*$")] | None = None
    """Replaced by OPENAI_MODEL, unless MODEL_PASSTHROUGH=true. One printable line."""
    user: str | float | None = None
    """The user, whose turn it is. Sent on as an HMAC with SEND_USER=true, otherwise not at all."""
    stream: bool | None = None
    """True for an answer as server-sent events."""
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    """The most tokens of the answer; without this and the next one COMPLETION_MAX_TOKENS (4096)."""
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    """The same under its newer name."""


class ChatMessage(Open):
    """The text of the answer."""

    role: str
    content: str | None
    """The text; a refusal's words where there is no other. Null only beside a call of a tool."""


class Choice(Open):
    """One answer."""

    index: int
    message: ChatMessage
    finish_reason: Annotated[str, Field(pattern="^[A-Za-z_-]{1,128}$")]


class Usage(Open):
    """Tokens, as the provider counted them; 0 where it did not."""

    prompt_tokens: Count
    completion_tokens: Count
    total_tokens: Count


class ChatCompletion(Open):
    """A whole answer. Whatever else the provider sent is passed on."""

    id: Name
    object: Literal["chat.completion"]
    created: int
    """Seconds since 1970."""
    model: Annotated[str, Field(max_length=50)]
    """The model that answered."""
    choices: Annotated[list[Choice], Field(min_length=1)]
    usage: Usage
    system_fingerprint: Name
    """Blank where the provider sent none."""


class ChatEvent(Shape):
    """One server-sent event of a stream."""

    data: str
    """A chunk of the answer in JSON as the provider sent it, and `[DONE]` at the end. The last event of a stream that
    breaks off is a failure in OpenAI's shape, without `[DONE]`."""


class Model(Shape):
    """The model that answers."""

    id: str
    """OPENAI_MODEL."""
    object: Literal["model"]
    created: Literal[0]
    owned_by: Literal["openai-moodle-sidecar"]


class ModelList(Shape):
    """The models there are: one, or with PROVIDERS_FILE those that the caller's token allows."""

    object: Literal["list"]
    data: list[Model]
