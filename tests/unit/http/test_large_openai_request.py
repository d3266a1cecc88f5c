"""Large bodies in OpenAI's shape: the same call as a small one, without the memory of its values."""

import contextlib
import json
import tracemalloc
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.errors import InvalidJSON, InvalidRequest
from sidecar.core.raw_json import MOST_MESSAGES
from sidecar.http.schemas.completions import RAW_BYTES, CompletionBody, WrongField, parse
from sidecar.provider.codec import body_of
from sidecar.provider.dialect import Dialect

PAD = "p" * RAW_BYTES
MESSAGES = [{"role": "user", "content": "Why?"}]


def parsed(body: bytes) -> CompletionBody:
    return parse(body, max_tokens=9, passthrough=True)


def large(fields: object) -> bytes:
    return json.dumps(fields | {"pad": PAD} if isinstance(fields, dict) else [fields, PAD]).encode()


def sent(body: CompletionBody, *, stream: bool) -> Any:
    """Return what the provider gets, without the padding."""
    fields = json.loads(bytes(body_of(Dialect("m", {}).fields(body.call, stream=stream))))
    return {name: value for name, value in fields.items() if name != "pad"}


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5) | st.sampled_from(["user", "Ü🙂"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
messages = st.lists(
    st.dictionaries(st.sampled_from(["role", "content", "tool_calls", "refusal"]), values, max_size=4) | values,
    max_size=3,
)
names = st.sampled_from(["messages", "model", "user", "stream", "stream_options", "max_tokens", "x", "seed"])


@given(st.dictionaries(names, values, max_size=6), messages)
def test_a_large_body_is_the_same_call_as_a_small_one(fields: dict[str, Any], said: list[Any]) -> None:
    """Taken or refused alike, by the same field, and sent alike."""
    fields = {"messages": said} | fields
    try:
        small = parsed(json.dumps(fields).encode())
    except WrongField as exc:
        with pytest.raises(WrongField) as caught:
            parsed(large(fields))
        assert (caught.value.param, str(caught.value)) == (exc.param, str(exc))
        return
    body = parsed(large(fields))
    assert (body.user, body.stream, body.call.model) == (small.user, small.stream, small.call.model)
    assert sent(body, stream=body.stream) == sent(small, stream=body.stream)
    assert body.call.extra.get("stream_options") == small.call.extra.get("stream_options")


@pytest.mark.parametrize(
    "inside", [b'"\xff"', b'"\xed\xa0\x80"', b"[1,]", b'"\\q"', b"[" * 5000 + b"]" * 5000, b'["\\ud800"]', b"[NaN]"]
)
def test_raw_parts_are_checked_all_the_same(inside: bytes) -> None:
    """What is no JSON in UTF-8 is refused here, as in small bodies, and no provider is asked."""
    for field in (b'"messages": [{"role": "user", "content": %s}]', b'"messages": [{}], "x": %s'):
        body = b'{"pad": "%s", %s}' % (PAD.encode(), field % inside)
        with pytest.raises(InvalidJSON):
            parsed(body)


@pytest.mark.parametrize("body", [b'{"pad": "%s"' % PAD.encode(), b"[" * RAW_BYTES, b"1" * RAW_BYTES, large([])])
def test_what_is_no_object_is_refused(body: bytes) -> None:
    """With one error, whatever is wrong."""
    with pytest.raises(InvalidJSON):
        parsed(body)


def test_counts_are_bounded() -> None:
    """Messages, and fields of one object; the sentence names the bound."""
    assert len(parsed(large({"messages": [{}] * MOST_MESSAGES})).call.messages) == MOST_MESSAGES
    with pytest.raises(WrongField, match="more than 4096 messages"):
        parsed(large({"messages": [{}] * (MOST_MESSAGES + 1)}))
    with pytest.raises(InvalidRequest, match="more than 1024 fields"):
        parsed(large({f"k{number}": 0 for number in range(1025)}))


MIB = 2**20
_START = b'{"messages": [{"role": "user", "content": "Why?"}], "x": '
_NAMES = b",".join(b'"k%06d":0' % number for number in range(80_000))


def traced(body: bytes) -> tuple[int, CompletionBody | None]:
    """Return the most bytes allocated while `body` is parsed, and the call; None where it is refused."""
    tracemalloc.start()
    try:
        call = None
        with contextlib.suppress(InvalidRequest):
            call = parsed(body)
        return tracemalloc.get_traced_memory()[1], call
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "body",
    [
        b'{"messages": [{"role": "user", "content": [' + b"[]," * 300_000 + b"[]]}]}",
        b'{"messages": [' + b"{}," * 300_000 + b"{}]}",
        _START + b"[" + b"[]," * 300_000 + b"[]]}",
        _START + b"{" + _NAMES + b"}}",
        b"{" + _NAMES + b"}",
        _START + b'"' + "a word🙂".encode() * 100_000 + b'"}',
    ],
    ids=["content", "messages", "extra", "names inside", "names", "emoji"],
)
def test_a_large_body_costs_little_beside_its_bytes(body: bytes) -> None:
    """A MiB of small values is 25 MiB of objects; refused or taken, they are never made."""
    parsed(large({"messages": MESSAGES}))  # what is made once
    # A thread of an earlier test may still let go of what it had: the least of three is this one's own.
    peak, call = min((traced(body) for _ in range(3)), key=lambda measured: measured[0])
    assert peak < 0.75 * MIB
    assert call is None or call.held == len(body)


def test_a_small_body_of_small_values_is_raw_too() -> None:
    """Two thousand of them would fill a machine."""
    body = json.dumps({"messages": MESSAGES, "x": [[]] * 1000}).encode()
    assert len(body) < RAW_BYTES
    assert isinstance(parsed(body).call.extra["x"], msgspec.Raw)
