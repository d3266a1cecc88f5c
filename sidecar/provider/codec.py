"""Codec of a provider call: from a call to a request's body, and from a 200 to a completion.

Both adapters use this module. It is free of I/O and heavy imports, because the one-shot process pays for every import.
Failures are in errors.py.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from sidecar.core.contract import sendable
from sidecar.core.errors import EmptyResponse, UpstreamError, UpstreamFailure
from sidecar.core.ports import Call, Completion
from sidecar.provider.error_body import reports
from sidecar.provider.http_answer import Answer

_OLD_LIMIT: Final = "max_tokens"
_NEW_LIMIT: Final = "max_completion_tokens"
_RESERVED: Final = ("messages", "stream")
"""Fields that EXTRA_BODY cannot set: messages are the caller's, and `complete` or `stream` decides on streaming."""
_MODELS_REMEMBERED: Final = 1000
_CHECK_URL: Final = "the administrator should check OPENAI_BASE_URL."

_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder()


class Dialect:
    """Request bodies as this provider takes them: the fields of the settings, and the models with the newer limit."""

    def __init__(self, model: str, extra_body: Mapping[str, Any]) -> None:
        self._model = model
        self._extra = {name: value for name, value in extra_body.items() if name not in _RESERVED}
        self._newer: set[str] = set()

    def fields(self, call: Call, *, stream: bool = False) -> dict[str, Any]:
        """Return the body of `call`: its own fields, EXTRA_BODY over them, `call.extra` over both (top level only).

        A null in EXTRA_BODY removes the field; a null in `call.extra` is sent, since the caller set it. A layer that
        names a limit, under either name, replaces the limits of the layers below.
        """
        fields: dict[str, Any] = {"model": call.model or self._model, "messages": call.messages}
        fields[_OLD_LIMIT] = call.max_tokens
        if call.user:
            fields["user"] = call.user
        if self._extra:
            _overlay(fields, self._extra)
            fields = {name: value for name, value in fields.items() if value is not None}
        if call.extra:
            _overlay(fields, call.extra)
        if stream:
            fields["stream"] = True
        else:
            fields.pop("stream", None)
            fields.pop("stream_options", None)
        if _NEW_LIMIT in fields:
            fields.pop(_OLD_LIMIT, None)  # providers refuse both at once
        return with_newer_limit(fields) if str(fields.get("model")) in self._newer else fields

    def learn(self, fields: Mapping[str, Any]) -> None:
        """Remember that the model of `fields` takes the limit under the newer name."""
        if len(self._newer) >= _MODELS_REMEMBERED:
            self._newer.clear()  # names can come from callers; learning one again costs one refused call
        self._newer.add(str(fields.get("model")))


def _overlay(fields: dict[str, Any], layer: Mapping[str, Any]) -> None:
    if _OLD_LIMIT in layer or _NEW_LIMIT in layer:
        fields.pop(_OLD_LIMIT, None)
        fields.pop(_NEW_LIMIT, None)
    fields.update(layer)


def with_newer_limit(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body with its limit under the newer name."""
    return {(_NEW_LIMIT if name == _OLD_LIMIT else name): value for name, value in fields.items()}


def refuses_limit(fields: Mapping[str, Any], answer: Answer) -> bool:
    """Return whether this refusal calls for `max_completion_tokens` instead of `max_tokens`.

    The name alone is too little: vLLM names both where a value is merely too large.
    """
    if answer.status not in (400, 422) or _OLD_LIMIT not in fields:
        return False
    body = answer.body.lower()
    if b"max_tokens" not in body:
        return False
    return any(word in body for word in (b"unsupported", b"not support", b"instead", b"deprecated"))


def encode(fields: Mapping[str, Any]) -> bytes:
    """Return the body as JSON in UTF-8; halves of surrogate pairs become U+FFFD, because JSON parsers refuse them."""
    try:
        return _encoder.encode(fields)
    except UnicodeEncodeError:
        import json  # noqa: PLC0415 - rare, and the one-shot process need not load it

        text = json.dumps(fields, ensure_ascii=False)
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()


def read(answer: Answer, call: Call, secrets: tuple[str, ...]) -> Completion:
    """Return the completion in a provider's answer.

    Raises the `UpstreamFailure` of any other answer; `secrets` never occur in the failure's sentence.
    """
    if answer.status != 200:
        raise refusal(answer, call, secrets)
    body = parse(answer)
    if reports(body):  # some gateways answer errors with 200
        raise refusal(answer, call, secrets)
    choice, message = _first_choice(body)
    # Made sendable here as well as in responses: a part's summary goes into another prompt, and is hashed.
    text = sendable(text_of(message.get("content")) or _str(message.get("refusal")))
    finish_reason = _str(choice.get("finish_reason"))
    if text.isspace():
        text = ""
    if not (text or message.get("tool_calls") or message.get("function_call")):
        raise _empty(finish_reason)
    usage = body.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    return Completion(
        text=text,
        finish_reason=finish_reason or "stop",
        model=_str(body.get("model")),
        prompt_tokens=_count(usage.get("prompt_tokens")),
        completion_tokens=_count(usage.get("completion_tokens")),
        body=body,
    )


def refusal(answer: Answer, call: Call, secrets: tuple[str, ...]) -> UpstreamFailure:
    """Return the error for a refusing answer."""
    from sidecar.provider.errors import failure  # noqa: PLC0415 - its patterns are needed for refusals only

    return failure(answer, call, secrets)


def parse(answer: Answer) -> dict[str, Any]:
    """Return the JSON object in an answer's body.

    Raises `UpstreamError` or `EmptyResponse`, with a sentence about the body, for any other body.
    """
    try:
        try:
            body = _decoder.decode(answer.body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            import json  # noqa: PLC0415 - as above; `json` reads the lone surrogates that msgspec refuses

            body = json.loads(answer.body.decode("utf-8-sig"))
    except (ValueError, RecursionError) as exc:
        raise not_json(answer) from exc
    if not isinstance(body, dict):
        raise UpstreamError(f"The AI provider's JSON is not a chat completion; {_CHECK_URL}", status=answer.status)
    return body


def not_json(answer: Answer) -> UpstreamFailure:
    """Return the error for a body that is no JSON."""
    start = answer.body[:64].lstrip().lower()
    if not start:
        return EmptyResponse(f"The AI provider sent an answer without any content; {_CHECK_URL}", status=answer.status)
    if start.startswith(b"<") or "html" in answer.headers.get("content-type", ""):
        problem = "answered with a web page instead of JSON"
    elif answer.headers.get("content-encoding", "identity") != "identity":
        problem = "compressed its answer although that was not asked for"
    elif start.startswith(b"{"):
        return UpstreamError("The AI provider's answer was cut off or is broken JSON.", status=answer.status)
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
        part if isinstance(part, str) else _str(part.get("text")) for part in content if isinstance(part, str | dict)
    )


def _empty(finish_reason: str) -> EmptyResponse:
    if finish_reason == "content_filter":
        return EmptyResponse("The AI provider's content filter withheld the answer.", status=200)
    if finish_reason == "length":
        return EmptyResponse(
            "The AI model used up its tokens before it wrote an answer; the administrator should raise MAX_TOKENS.",
            status=200,
        )
    return EmptyResponse(status=200)


def _str(value: object) -> str:
    return value if isinstance(value, str) else ""


def _count(value: object) -> int:
    """Return a token count as gateways send it; 0, for unknown, where the value is no number from 0 to below 2**53."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0
    return int(value) if 0 <= value < 2**53 else 0
