"""Keys of raw completions: what makes two calls one."""

import json

import msgspec

from sidecar.core.ports import Call
from sidecar.core.raw_json import RawMessages
from sidecar.engine.keys import Keys
from tests.support.engines import LIMITS

KEYS = Keys(model="m", limits=LIMITS)


def call(messages: str, **extra: object) -> Call:
    raw = RawMessages(msgspec.Raw(messages.encode()), 1)
    return Call(messages=raw, max_tokens=7, extra=extra)


def test_large_calls_are_equal_byte_by_byte() -> None:
    """The same bytes are one call; another text, field or order of raw parts is another."""
    text = json.dumps([{"role": "user", "content": "Why?"}])
    tools, more = msgspec.Raw(b"[1,2]"), msgspec.Raw(b"[3]")
    key = KEYS.of_call(call(text, tools=tools, seed=1))
    assert KEYS.of_call(call(text, seed=1, tools=msgspec.Raw(b"[1,2]"))) == key
    others = [
        call(text + " ", tools=tools, seed=1),
        call(text, tools=more, seed=1),
        call(text, tools=tools, seed=2),
        call(text, tools=tools, more=more, seed=1),
        call(text, more=tools, tools=more, seed=1),
        call(text, tools="raw 2", seed=1),
    ]
    found = {KEYS.of_call(other) for other in others}
    assert len(found) == len(others)
    assert key not in found


def test_small_calls_are_equal_by_value() -> None:
    """However their JSON was written."""
    first = Call(messages=[{"role": "user", "content": "ü"}], max_tokens=7, extra={"a": 1, "b": 2})
    second = Call(messages=[{"content": "ü", "role": "user"}], max_tokens=7, extra={"b": 2, "a": 1})
    assert KEYS.of_call(first) == KEYS.of_call(second)
