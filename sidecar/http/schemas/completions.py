"""From a body in OpenAI's shape to a provider call.

Only the fields that the sidecar itself acts on are checked; all others pass to the provider as they came, those of a
large body undecoded.
"""

import codecs
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from sidecar.core import raw_json
from sidecar.core.errors import InvalidJSON, InvalidRequest
from sidecar.core.ports import Call

LIMITS: Final = ("max_tokens", "max_completion_tokens")
_INSTEAD: Final = ("tool_calls", "function_call", "refusal", "audio")
"""Fields that a message may have instead of a content."""
_LONGEST_MODEL: Final = 200
RAW_BYTES: Final = 16 * 1024
"""Bodies from this size on, and those of many small values, stay raw but for the fields that are looked at."""
_LOOKED_AT: Final = ("model", "user", "stream", "stream_options")
_LONGEST_LOOK: Final = 64 * 1024
_BLANK: Final = frozenset({b"null", b"false", b"0", b'""', b"[]", b"{}"})

_decoder: Final = msgspec.json.Decoder(dict[str, Any])


class WrongField(InvalidRequest):
    """A field that is missing or wrong; `param` is its name."""

    def __init__(self, param: str = "", sentence: str | None = None) -> None:
        self.param = param
        super().__init__(sentence)


class _Message(msgspec.Struct):
    content: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    tool_calls: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    function_call: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    refusal: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    audio: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_message_list: Final = raw_json.BoundedList(_Message)


class Fields(NamedTuple):
    """The fields of a body, and the bytes of memory that they hold, by an estimate."""

    fields: dict[str, Any]
    held: int


class CompletionBody(msgspec.Struct, frozen=True, kw_only=True):
    """A checked body."""

    call: Call
    """The provider call without a user: settings decide what the provider learns of the user."""
    user: str
    """The user's name; blank for none."""
    stream: bool
    held: int
    """Bytes of memory that the call holds, by an estimate."""


def parse(body: bytes, *, max_tokens: int, passthrough: bool, deployment: str = "") -> CompletionBody:
    """Return the checked body: `fields_in` and `checked` in one."""
    return checked(fields_in(body), max_tokens=max_tokens, passthrough=passthrough, deployment=deployment)


def checked(body: Fields, *, max_tokens: int, passthrough: bool, deployment: str = "") -> CompletionBody:
    """Check the fields of a body. `max_tokens` is the limit of a request that brings none.

    With `passthrough` the call has the model that the caller names, in the body or as `deployment`.
    Raises `WrongField`.
    """
    fields = body.fields
    model = _text("model", fields.pop("model", None)) or deployment
    if len(model) > _LONGEST_MODEL or not model.isprintable():
        raise WrongField("model", "The field model must be one line of at most 200 characters.")
    messages = _messages(fields.pop("messages", None))
    stream = fields.pop("stream", None)
    if stream is not None and not isinstance(stream, bool):
        raise WrongField("stream", "The field stream must be true or false.")
    user = _user(fields.pop("user", None))
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
        held=body.held,
    )


def _messages(value: object) -> Sequence[Mapping[str, Any]]:
    if isinstance(value, msgspec.Raw) and raw_json.kind_of(value) == "[":
        return _raw_messages(value)
    if not isinstance(value, list) or not value or not all(isinstance(message, dict) for message in value):
        raise WrongField("messages", _NO_MESSAGES)
    for number, message in enumerate(value):
        if message.get("content", "") is None and not any(message.get(name) for name in _INSTEAD):
            raise _no_content(number)
    return value


def _raw_messages(value: msgspec.Raw) -> Sequence[Mapping[str, Any]]:
    try:
        messages = _message_list.decode(value)
    except InvalidRequest as exc:
        raise WrongField("messages", str(exc)) from exc
    except msgspec.ValidationError as exc:
        raise WrongField("messages", _NO_MESSAGES) from exc
    if not messages:
        raise WrongField("messages", _NO_MESSAGES)
    for number, message in enumerate(messages):
        if isinstance(message.content, msgspec.Raw) and raw_json.kind_of(message.content) == "n":
            instead = (getattr(message, name) for name in _INSTEAD)
            if not any(isinstance(part, msgspec.Raw) and _given(part) for part in instead):
                raise _no_content(number)
    return raw_json.RawMessages(value, len(messages))


def _given(raw: msgspec.Raw) -> bool:
    return bytes(memoryview(raw)[:8]) not in _BLANK


_NO_MESSAGES: Final = "The field messages must be a list of messages, at least one."


def _no_content(number: int) -> WrongField:
    """Return the refusal of a message without content, which some servers bill or make up an answer to.

    A message that calls a tool, or that holds a refusal or a sound, needs none.
    """
    return WrongField("messages", f"The field messages[{number}].content must not be null.")


def fields_in(body: bytes) -> Fields:
    """Return the fields of a body: decoded where it is small, else only those that are short or looked at.

    Raises `InvalidJSON` or `InvalidRequest`.
    """
    body = body.removeprefix(codecs.BOM_UTF8)
    try:
        if len(body) < RAW_BYTES and not raw_json.dense(body, values := raw_json.values_in(body)):
            return Fields(_decoder.decode(body), len(body) + raw_json.VALUE_BYTES * values)
        raw_json.check_utf8(body)
        fields = {name: _looked_at(name, value) for name, value in raw_json.fields_of(body).items()}
        return Fields(fields, len(body))
    except RecursionError as exc:
        raise InvalidJSON("The request is nested too deeply.") from exc
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise InvalidJSON from exc


def _looked_at(name: str, raw: msgspec.Raw) -> Any:
    """Return short values decoded, since the sidecar acts on some, and what is long as it is."""
    if name == "stream_options" and raw_json.size_of(raw) <= raw_json.LONGEST_SCALAR:
        return msgspec.json.decode(raw)
    return raw_json.scalar(raw, _LONGEST_LOOK if name in _LOOKED_AT else raw_json.LONGEST_SCALAR)


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
