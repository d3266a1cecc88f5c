"""Large answers: the same JSON as decoded whole, in a fraction of its memory, with all that is looked at."""

import json
import tracemalloc
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.errors import UpstreamError
from sidecar.core.ports import Call
from sidecar.http.responses.openai import encode
from sidecar.provider import codec
from sidecar.provider.answers.large import strict
from sidecar.provider.answers.reader import read
from sidecar.provider.answers.whole import LARGE_BYTES, strictly
from sidecar.provider.http_answer import Answer

CALL = Call(messages=[{"role": "user", "content": "What is a fraction?"}], max_tokens=20)
MIB = 2**20
PADDING = b'"padding": "' + b"x" * LARGE_BYTES + b'"'
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=4),
)


def body(content: object = "Hello.", **more: bytes) -> bytes:
    """Return a completion with further fields, which are JSON already."""
    message = {"role": "assistant", "content": content}
    raw = {name: msgspec.Raw(value) for name, value in more.items()}
    return msgspec.json.encode({"model": "m", "choices": [{"message": message, "finish_reason": "stop"}], **raw})


def passed(raw: bytes) -> Any:
    """Return what a caller of /v1 gets for an answer."""
    completion = read(Answer(200, {}, raw), CALL, ())
    return json.loads(encode(completion, model="m", fallback_id="id", spaced=False))


def listed(part: bytes, size: int = LARGE_BYTES) -> bytes:
    """Return a list of about so many bytes."""
    return b"[" + b",".join([part] * (size // (len(part) + 1))) + b"]"


@given(VALUES)
def test_any_value_is_the_same_once_it_is_written_again(value: object) -> None:
    """Whatever stays raw."""
    raw = b'{"value": [%s, "%s"]}' % (msgspec.json.encode(value), b"x" * 5000)
    assert codec.strict(codec.encode(strict(raw))) == codec.strict(raw)


@pytest.mark.parametrize("part", [b"[]", b'{"a":1}', b"0", b'"\\u0041"', b"[[[[[[[[]]]]]]]]"])
def test_many_small_values_stay_raw_and_arrive(part: bytes) -> None:
    """Such as the probabilities of each token."""
    many = listed(part)
    assert type(strict(body(more=many))["more"]) is msgspec.Raw
    assert passed(body(more=many))["more"] == json.loads(many)


def test_the_memory_is_that_of_the_bytes() -> None:
    """A MiB of empty lists takes thirty once it is decoded."""
    raw = body(more=listed(b"[]", MIB))
    tracemalloc.start()
    try:
        completion = read(Answer(200, {}, raw), CALL, ())
        assert completion.text == "Hello."
        assert tracemalloc.get_traced_memory()[1] < 4 * MIB
    finally:
        tracemalloc.stop()


def test_many_lists_of_few_values_are_bounded_as_a_whole() -> None:
    """No number of small parts adds up to what one large part may not be."""
    raw = body(more=listed(listed(b"[]", 4000), 2 * MIB))
    tracemalloc.start()
    try:
        strict(raw)
        assert tracemalloc.get_traced_memory()[1] < 8 * MIB
    finally:
        tracemalloc.stop()


def test_what_is_looked_at_is_decoded_at_its_depth() -> None:
    """Long texts, parts, tools with long arguments, counts and reasons."""
    long = "Ünï 🙂 " * 30_000
    tools = [{"id": "1", "type": "function", "function": {"name": "f", "arguments": long}}]
    message = {"role": "assistant", "content": [{"type": "text", "text": long}], "tool_calls": tools}
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "details": [0] * 9000}
    whole = {"choices": [{"message": message, "finish_reason": "tool_calls"}], "usage": usage}
    completion = read(Answer(200, {}, json.dumps(whole).encode()), CALL, ())
    assert completion.text == long
    assert (completion.prompt_tokens, completion.finish_reason) == (3, "tool_calls")
    assert completion.body["choices"][0]["message"]["tool_calls"] == tools
    assert passed(json.dumps(whole).encode())["usage"] == usage | {"total_tokens": 5}


@pytest.mark.parametrize("first", ["logprobs", "message"])
def test_what_follows_the_probabilities_of_many_tokens_is_read(first: str) -> None:
    """Twenty alternatives a token are thousands of values; the answer's end and its cost come behind them."""
    alternatives = [{"token": " river", "logprob": -1.5, "bytes": [32, 114, 105, 118, 101, 114]}] * 20
    logprobs = {"content": [{"token": " r", "logprob": -0.1, "bytes": [32, 114], "top_logprobs": alternatives}] * 600}
    choice: dict[str, Any] = {"index": 0, "message": {"role": "assistant", "content": "Hello."}, "logprobs": logprobs}
    choice = {first: choice[first], **choice, "finish_reason": "length"}
    usage = {"prompt_tokens": 7, "completion_tokens": 600, "total_tokens": 607}
    raw = msgspec.json.encode({"model": "m", "choices": [choice], "usage": usage})
    assert len(raw) > LARGE_BYTES
    shown = passed(raw)
    assert shown["choices"][0]["message"]["content"] == "Hello."
    assert shown["choices"][0]["finish_reason"] == "length"
    assert shown["choices"][0]["logprobs"] == logprobs
    assert shown["usage"]["total_tokens"] == 607


def test_a_large_answer_of_events_has_its_long_arguments() -> None:
    """However the provider wraps it."""
    tool = {"index": 0, "id": "1", "function": {"name": "f", "arguments": "y" * LARGE_BYTES}}
    event = {"choices": [{"index": 0, "delta": {"tool_calls": [tool]}, "finish_reason": "tool_calls"}]}
    raw = b"data: %s\n\ndata: [DONE]\n\n" % json.dumps(event).encode()
    [called] = passed(raw)["choices"][0]["message"]["tool_calls"]
    assert called["function"] == {"name": "f", "arguments": "y" * LARGE_BYTES}


def test_an_error_in_a_large_answer_is_reported() -> None:
    """In its own words, without what is large beside them."""
    raw = b'{"error": {"message": "The model broke."}, "more": %s}' % listed(b"[]")
    with pytest.raises(UpstreamError, match="The model broke"):
        read(Answer(200, {}, raw), CALL, ())
    with pytest.raises(UpstreamError):
        read(Answer(200, {}, b'{"error": %s}' % listed(b"[]")), CALL, ())


def test_names_that_php_refuses_are_mended_in_what_stays_raw() -> None:
    """PHP's parser stops at a name that begins with NUL."""
    found = passed(body(more=listed(b'{"\\u0000name":1}')))
    assert set(found["more"][0]) == {"name"}


@pytest.mark.parametrize(
    "end",
    [
        b"",
        b"]",
        b"}}",
        b"} x",
        b', "a": \xff}',
        b', "a": [1, 2,]}',
        b', "a": "\\ud800"}',
        b', "a": NaN}',
        b', "a": tru}',
    ],
)
def test_what_is_no_json_is_none(end: bytes) -> None:
    """At any place."""
    raw = b"{" + PADDING + end
    with pytest.raises(ValueError, match=r"."):
        codec.strict(raw)
    with pytest.raises(ValueError, match=r"."):
        strictly(raw)


@pytest.mark.parametrize("raw", [b"x" * LARGE_BYTES, b" " * LARGE_BYTES, b"1" * LARGE_BYTES])
def test_large_texts_that_are_no_object_are_told_as_small_ones(raw: bytes) -> None:
    """In the same words."""
    told = []
    for sent in (raw[:20_000], raw):
        with pytest.raises(Exception, match=r"AI") as caught:
            read(Answer(200, {}, sent), CALL, ())
        told.append(str(caught.value))
    assert told[0] == told[1]


def test_what_providers_write_beside_json_is_read_in_large_answers_too() -> None:
    """No number, and a half of a character."""
    assert passed(body(more=b'["%s", NaN]' % (b"x" * LARGE_BYTES)))["more"][1] is None
    assert passed(body(more=b'["%s", "\\ud800"]' % (b"x" * LARGE_BYTES)))["choices"]
