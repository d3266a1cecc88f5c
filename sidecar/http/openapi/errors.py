"""Refusals: the sidecar's envelope, and OpenAI's shape on the addresses of OpenAI's interface."""

from typing import Annotated, Final, Literal

from pydantic import Field

from sidecar.core.errors import MAX_SENTENCE
from sidecar.http.openapi.base import Shape
from sidecar.http.responses.statuses import STATUSES

MODEL_NOT_FOUND: Final = "model_not_found"
"""The one code that is OpenAI's own."""

Code = Annotated[str, Field(json_schema_extra={"enum": list(STATUSES)})]
Sentence = Annotated[str, Field(min_length=1, max_length=MAX_SENTENCE, pattern="^[^<>&\\x00]*$")]


class Failure(Shape):
    """A request that got no answer."""

    success: Literal[False]
    data: None
    """Always null; the key is there because deployed callers read it."""
    error: Sentence
    """One sentence that a person can act on, safe inside HTML, of at most 300 characters."""
    code: Code
    """The same for a program; docs/faults.md explains each."""
    job_id: Annotated[str, Field(pattern="^[0-9a-f]{32}$")] | None = None
    """The job that goes on working on a long text after `timeout`; the same request finds its result later."""


class WrongEntry(Shape):
    """A list that was refused because one entry is wrong."""

    success: Literal[False]
    data: None
    """Always null."""
    error: Sentence
    """A sentence about the fault of the entry."""
    code: Code
    """The entry's fault for a program."""
    index: Annotated[int, Field(ge=0, lt=1000)]
    """The entry's place, counted from 0."""


class OpenAIError(Shape):
    """A failure as OpenAI writes it."""

    message: Sentence
    """One sentence that a person can act on, safe inside HTML, of at most 300 characters."""
    type: Literal[
        "invalid_request_error", "authentication_error", "not_found_error", "rate_limit_error", "server_error"
    ]
    param: str | None
    """The field of the request that is wrong, null where the fault is elsewhere."""
    code: Annotated[str, Field(json_schema_extra={"enum": [*STATUSES, MODEL_NOT_FOUND]})]
    """The cause for a program: a code of the sidecar, or `model_not_found`."""


class OpenAIFailure(Shape):
    """A request on an address of OpenAI's interface that got no answer."""

    error: OpenAIError
