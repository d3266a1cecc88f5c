"""Provider calls as data between two processes."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from sidecar.core.ports import Call
from sidecar.core.raw_json import BoundedList, RawMessages, size_of

_RAW_BYTES: Final = 16 * 1024
"""Messages from this size on stay raw, as those of a large body do."""
_entries: Final = BoundedList(msgspec.Raw)
_small: Final = msgspec.json.Decoder(list[dict[str, Any]])


class Prompted(msgspec.Struct, frozen=True, array_like=True):
    """A call that an action made: plain texts under roles."""

    messages: list[dict[str, str]]
    max_tokens: int
    user: str
    model: str


class _Wire(msgspec.Struct):
    messages: msgspec.Raw
    max_tokens: int
    user: str
    model: str
    extra: dict[str, Any]


_wire: Final = msgspec.json.Decoder(_Wire)


def prompted(call: Call) -> Prompted:
    """Return the call of an action as data."""
    messages = [{name: str(text) for name, text in message.items()} for message in call.messages]
    return Prompted(messages, call.max_tokens, call.user, call.model)


def call_of(prompt: Prompted, trace: Mapping[str, str]) -> Call:
    """Return an action's call again."""
    return Call(
        messages=prompt.messages, max_tokens=prompt.max_tokens, user=prompt.user, model=prompt.model, trace=trace
    )


def encode_call(call: Call) -> bytes:
    """Return a raw completion's call in JSON; what is raw in it stays as it came."""
    messages: Sequence[Mapping[str, Any]] | msgspec.Raw = call.messages
    if isinstance(messages, RawMessages):
        messages = messages.raw
    fields = {"messages": messages, "max_tokens": call.max_tokens, "user": call.user, "model": call.model}
    return msgspec.json.encode({**fields, "extra": call.extra})


def decode_call(encoded: bytes, trace: Mapping[str, str]) -> Call:
    """Return a raw completion's call again."""
    wire = _wire.decode(encoded)
    messages: Sequence[Mapping[str, Any]]
    if size_of(wire.messages) < _RAW_BYTES:
        messages = _small.decode(wire.messages)
    else:
        messages = RawMessages(wire.messages, len(_entries.decode(wire.messages)))
    return Call(
        messages=messages,
        max_tokens=wire.max_tokens,
        user=wire.user,
        model=wire.model,
        extra=wire.extra,
        trace=trace,
    )
