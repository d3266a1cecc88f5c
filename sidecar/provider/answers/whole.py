"""Whole answers: from JSON to a completion, or to the failure that the answer is."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from sidecar.core.contract import sendable
from sidecar.core.errors import EmptyResponse, UpstreamError, UpstreamFailure
from sidecar.core.ports import Call, Completion, Usage
from sidecar.provider import codec
from sidecar.provider.answers.thoughts import without_thoughts
from sidecar.provider.answers.usage import note_usage
from sidecar.provider.error_body import reports, reports_error
from sidecar.provider.http_answer import Answer

MAX_ANSWER_BYTES: Final = 16 * 2**20
LARGE_BYTES: Final = 128 * 1024
"""Bytes from which on an answer is decoded no further than it is looked at; almost none is so large."""
TOO_LARGE: Final = "The AI provider's answer is larger than 16 MiB."

_CHECK_URL: Final = "the administrator should check OPENAI_BASE_URL."
_THOUGHT_ONLY: Final = (
    "The AI model used up its tokens before it wrote an answer; the administrator should raise MAX_TOKENS."
)
_BROKEN_OFF: Final = frozenset({"error", "network_error", "insufficient_system_resource", "abort"})
"""Finish reasons of answers that broke off: OpenRouter and gateways, Zhipu, DeepSeek, SGLang."""
_THOUGHTS: Final = frozenset({"thinking", "reasoning"})
"""Types of a content's parts that hold thoughts."""


def completion_of(body: Mapping[str, Any], size: int) -> Completion:
    """Return the completion that a whole answer's object is, which came in `size` bytes.

    Raises `EmptyResponse` or `UpstreamError` for none.
    """
    choice, message = _first_choice(body)
    content = text_of(message.get("content"))
    # Made sendable here as well as in responses: a part's summary goes into another prompt, and is hashed.
    said = sendable(content or _str(message.get("refusal")))
    reason = finish_reason(choice)
    called = message.get("tool_calls") or message.get("function_call")
    if (not said or said.isspace()) and not called:
        raise _empty(reason, thought=bool(message.get("reasoning_content") or message.get("reasoning")))
    text = without_thoughts(said)
    text = "" if text.isspace() else text
    usage = Usage()
    note_usage(body, usage)
    return Completion(
        text=text,
        finish_reason=reason or "stop",
        model=_str(body.get("model")),
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        body=body,
        size=size,
        lacks="" if text or called else _THOUGHT_ONLY,
    )


def refusal(answer: Answer, call: Call, secrets: tuple[str, ...]) -> UpstreamFailure:
    """Return the error for a refusing answer."""
    from sidecar.provider.errors import failure  # noqa: PLC0415 - its patterns are needed for refusals only

    return failure(answer, call, secrets)


def object_of(answer: Answer, call: Call, secrets: tuple[str, ...]) -> dict[str, Any]:
    """Return the JSON object in an answer. Raises the failure that the object reports, or that the body is."""
    body = parse(answer)
    if (error := reported(body)) is not None:  # some gateways answer errors with 200
        raise refusal(Answer(answer.status, answer.headers, _small(error)), call, secrets)
    body.pop("error", None)  # blank
    return body


def parse(answer: Answer) -> dict[str, Any]:
    """Return the JSON object in an answer's body.

    Raises `UpstreamError` or `EmptyResponse`, with a sentence about the body, for any other body.
    """
    try:
        body = decoded(answer.body)
    except (ValueError, RecursionError) as exc:
        raise not_json(answer) from exc
    if isinstance(body, list) and len(body) == 1 and isinstance(body[0], dict) and reports(body[0]):
        body = body[0]  # Google's list
    if not isinstance(body, dict):
        raise UpstreamError(f"The AI provider's JSON is not a chat completion; {_CHECK_URL}", status=answer.status)
    return body


def decoded(raw: bytes) -> Any:
    """Return the JSON value in `raw`, of which a large one may have raw parts. Raises as `codec.decode`."""
    try:
        return strictly(raw)
    except ValueError:
        return leniently(raw)


def leniently(raw: bytes) -> Any:
    """Return the JSON value in `raw`, read as providers write it, as `decoded` does."""
    if len(raw) < LARGE_BYTES:
        return codec.decode(raw)
    from sidecar.provider.answers.large import decode  # noqa: PLC0415 - as below

    return decode(raw)


def strictly(raw: bytes) -> Any:
    """Return the JSON value in `raw`, of which a large one may have raw parts. Raises as `codec.strict`."""
    if len(raw) < LARGE_BYTES:
        return codec.strict(raw)
    from sidecar.provider.answers.large import strict  # noqa: PLC0415 - the one-shot seldom meets one

    return strict(raw)


def _small(error: Mapping[str, Any]) -> bytes:
    """Return the JSON of an error without what stayed raw of it, which no error needs."""
    return codec.encode({name: value for name, value in error.items() if type(value) is not msgspec.Raw})


def reported(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the error that an answer or event at status 200 reports, for itself or in a choice; None for none."""
    if reports(body):
        return body
    if isinstance(groq := body.get("x_groq"), dict) and reports_error(groq.get("error")):
        return {"error": groq["error"]}
    choices = body.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if not isinstance(choice, dict):
            continue
        for holder in (choice, choice.get("message"), choice.get("delta")):
            if isinstance(holder, dict) and reports_error(holder.get("error")):
                return {"error": holder["error"]}
        if finish_reason(choice) in _BROKEN_OFF:
            return {"error": "the answer broke off in its middle"}
    return None


def finish_reason(choice: Mapping[str, Any]) -> str:
    """Return the reason for which a choice ended; blank where the provider named none."""
    reason = _str(choice.get("finish_reason"))
    return "" if reason == "null" else reason


def not_json(answer: Answer) -> UpstreamFailure:
    """Return the error for a body that is no JSON."""
    start = answer.body[:64].lstrip().lower()
    if not start:
        return EmptyResponse(f"The AI provider sent an answer without any content; {_CHECK_URL}", status=answer.status)
    if start.startswith(b"<") or "html" in answer.headers.get("content-type", ""):
        problem = "answered with a web page instead of JSON"
    elif start.startswith(b"{"):
        return UpstreamError("The AI provider's answer was cut off or is broken JSON.", status=answer.status)
    elif answer.headers.get("content-encoding", "identity") != "identity":
        problem = "compressed its answer although that was not asked for"
    else:
        problem = "answered with something that is not JSON"
    return UpstreamError(f"The AI provider {problem}; {_CHECK_URL}", status=answer.status)


def _first_choice(body: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    choices = body.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if isinstance(choice, dict) and isinstance(message, dict):
        return choice, message
    raise UpstreamError("The AI provider's answer holds no message (a chat completion without choices).", status=200)


def text_of(content: object) -> str:
    """Return the text of a message's content: a string, or the text parts of a list."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    return "".join(
        part if isinstance(part, str) else _str(part.get("text"))
        for part in content
        if isinstance(part, str) or (isinstance(part, dict) and _str(part.get("type")) not in _THOUGHTS)
    )


def _empty(reason: str, *, thought: bool) -> EmptyResponse:
    if reason == "content_filter":
        return EmptyResponse("The AI provider's content filter withheld the answer.", status=200)
    return EmptyResponse(_THOUGHT_ONLY if thought or reason == "length" else None, status=200)


def _str(value: object) -> str:
    return value if isinstance(value, str) else ""
