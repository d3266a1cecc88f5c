"""POST /ai: the request and its reply."""

from typing import Annotated, Literal

from pydantic import Field

from sidecar.core.contract import LONGEST_USER
from sidecar.http.openapi.base import NOT_BLANK, Shape, stripped

Format = Literal["html", "markdown", "text", ""] | None
User = Annotated[str, Field(pattern=stripped(LONGEST_USER))]


class ActionRequest(Shape):
    """One request. Unknown fields are ignored."""

    action: Literal["chat", "summarize", "analyze"]
    """The work to do on `content`."""
    content: Annotated[str, Field(pattern=NOT_BLANK)]
    """The text, not blank. The body as a whole has at most MAX_BODY_BYTES (4 MiB)."""
    context: str | None = None
    """Background of a chat; other actions ignore it. A sidecar summarizes it beyond SUMMARIZE_THRESHOLD characters."""
    user_id: User | float | None = None
    """The user in the fair queue, outer white space aside. Sent on as an HMAC with SEND_USER=true, else never."""
    format: Format = None
    """Format of `data`, FORMAT's if absent, null or blank. That of a job is named where its result is read."""


class Answer(Shape):
    """The answer to a request."""

    success: Literal[True]
    data: str
    """The answer in the format of the request, else of FORMAT (html); with HTML_SAFE=true a space follows each `<`."""
    error: None
    """Always null; the key is there because deployed callers read it."""
