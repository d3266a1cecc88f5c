"""From a body in OpenAI's shape to a provider call.

Only the fields that the sidecar itself acts on are checked; all others pass to the provider as they came.
"""

import codecs
from typing import Any, Final

import msgspec

from sidecar.core.errors import InvalidJSON, InvalidRequest
from sidecar.core.ports import Call

LIMITS: Final = ("max_tokens", "max_completion_tokens")
_INSTEAD: Final = ("tool_calls", "function_call", "refusal", "audio")
"""Fields that a message may have instead of a content."""
_LONGEST_MODEL: Final = 200

_decoder: Final = msgspec.json.Decoder(dict[str, Any])


class WrongField(InvalidRequest):
    """A field that is missing or wrong; `param` is its name."""

    def __init__(self, param: str = "", sentence: str | None = None) -> None:
        self.param = param
        super().__init__(sentence)


class CompletionBody(msgspec.Struct, frozen=True, kw_only=True):
    """A checked body."""

    call: Call
    """The provider call without a user: settings decide what the provider learns of the user."""
    user: str
    """The user's name; blank for none."""
    stream: bool


def parse(body: bytes, *, max_tokens: int, passthrough: bool, deployment: str = "") -> CompletionBody:
    """Parse `body`. `max_tokens` is the limit of a request that brings none.

    With `passthrough` the call has the model that the caller names, in the body or as `deployment`.
    Raises `InvalidJSON` or `WrongField`.
    """
    fields = _decode(body)
    model = _text("model", fields.pop("model", None)) or deployment
    if len(model) > _LONGEST_MODEL or not model.isprintable():
        raise WrongField("model", "The field model must be one line of at most 200 characters.")
    messages = fields.pop("messages", None)
    if not isinstance(messages, list) or not messages or not all(isinstance(message, dict) for message in messages):
        raise WrongField("messages", "The field messages must be a list of messages, at least one.")
    stream = fields.pop("stream", None)
    if stream is not None and not isinstance(stream, bool):
        raise WrongField("stream", "The field stream must be true or false.")
    user = _user(fields.pop("user", None))
    _check_contents(messages)
    for name in LIMITS:
        limit = fields.get(name, 1)
        if limit is None:  # some clients send null for no limit
            del fields[name]
        elif isinstance(limit, int | float) and limit < 1:  # llama.cpp makes one token of 0, and has no end at -1
            raise WrongField(name, f"The field {name} must be at least 1.")
    return CompletionBody(
        call=Call(messages=messages, max_tokens=max_tokens, model=model if passthrough else "", extra=fields),
        user=user,
        stream=bool(stream),
    )


def _check_contents(messages: list[dict[str, Any]]) -> None:
    """Refuse a message without content, which some servers bill or make up an answer to.

    A message that calls a tool, or that holds a refusal or a sound, needs none.
    """
    for number, message in enumerate(messages):
        if message.get("content", "") is None and not any(message.get(name) for name in _INSTEAD):
            raise WrongField("messages", f"The field messages[{number}].content must not be null.")


def _decode(body: bytes) -> dict[str, Any]:
    try:
        return _decoder.decode(body.removeprefix(codecs.BOM_UTF8))
    except RecursionError as exc:
        raise InvalidJSON("The request is nested too deeply.") from exc
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise InvalidJSON from exc


def _text(name: str, value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise WrongField(name, f"The field {name} must be a string.")
    return value.strip()


def _user(value: object) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return _text("user", value)
