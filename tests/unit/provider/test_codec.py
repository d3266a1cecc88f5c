"""From a call to a body, and from a provider's answer to a completion."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.errors import EmptyResponse, UpstreamError, UpstreamFailure
from sidecar.core.ports import Call, Completion
from sidecar.provider.answers.reader import read
from sidecar.provider.codec import encode
from sidecar.provider.dialect import Dialect
from sidecar.provider.http_answer import Answer

QUESTION = Call(messages=[{"role": "user", "content": "Why is the sky blue at noon?"}], max_tokens=7)


def fields(extra_body: dict[str, Any] | None = None, *, stream: bool = False, **more: Any) -> dict[str, Any]:
    call = Call(messages=[], max_tokens=7, **more)
    return Dialect("m", extra_body or {}).fields(call, stream=stream)


def reading(body: object, status: int = 200) -> Completion:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read(Answer(status, {}, raw), QUESTION, ())


def said(message: dict[str, Any], **choice: Any) -> dict[str, Any]:
    return {"choices": [{"message": message, **choice}]}


def test_the_body_holds_model_messages_limit_and_user() -> None:
    """Blank users are not sent; a call's own model comes before the configured one."""
    assert fields() == {"model": "m", "messages": [], "max_tokens": 7}
    assert fields(user="u", model="x") == {"model": "x", "messages": [], "max_tokens": 7, "user": "u"}


def test_extra_body_is_merged_and_a_null_in_it_removes() -> None:
    """EXTRA_BODY={"max_tokens": null} serves providers that want no limit at all."""
    merged = fields({"top_p": 0.5, "max_tokens": None, "messages": ["no"], "stream": "no"})
    assert merged == {"model": "m", "messages": [], "top_p": 0.5}


def test_a_calls_own_fields_come_over_extra_body() -> None:
    """A raw completion's caller knows best; its nulls are sent as they are."""
    merged = fields({"top_p": 0.5, "seed": 1}, extra={"top_p": 1, "stop": None})
    assert merged == {"model": "m", "messages": [], "max_tokens": 7, "top_p": 1, "seed": 1, "stop": None}


@pytest.mark.parametrize(
    ("extra_body", "extra", "limits"),
    [
        ({"max_completion_tokens": 9}, {}, {"max_completion_tokens": 9}),
        ({}, {"max_completion_tokens": 9}, {"max_completion_tokens": 9}),
        ({"max_completion_tokens": 9}, {"max_tokens": 5}, {"max_tokens": 5}),
        ({}, {"max_tokens": 5, "max_completion_tokens": 9}, {"max_completion_tokens": 9}),
    ],
)
def test_only_one_limit_is_ever_sent(extra_body: dict[str, Any], extra: dict[str, Any], limits: dict[str, int]) -> None:
    """The most specific layer that names one wins: providers refuse both at once."""
    sent = fields(extra_body, extra=extra)
    assert {name: value for name, value in sent.items() if name.startswith("max_")} == limits


def test_the_verb_decides_whether_to_stream() -> None:
    """`complete` never asks for a stream, whatever a caller's fields say."""
    asked = {"stream": True, "stream_options": {"include_usage": True}}
    assert fields(extra=asked) == fields()
    assert fields(extra=asked, stream=True) == {**fields(), **asked}


def test_extra_body_makes_every_answer_a_stream() -> None:
    """The site knows its provider; a caller's own fields do not undo it."""
    site = {"stream": True, "stream_options": {"include_usage": True}}
    assert fields(site, extra={"stream": False}) == {**fields(), **site}


@given(st.text(st.characters(exclude_categories=())), st.text(st.characters(exclude_categories=())))
def test_every_text_becomes_a_body_that_parsers_take(text: str, name: str) -> None:
    """Valid UTF-8 and no half surrogates, whatever a caller sends; whole texts are unchanged."""
    sent = encode({"messages": [{"content": text}], name: text})
    found = json.loads(sent.decode())["messages"][0]["content"]
    found.encode()
    assert found == text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def test_odd_counts_and_names_are_taken_as_unknown() -> None:
    """Gateways leave them out or send other types; the answer counts."""
    body = said({"content": "Yes."}, finish_reason=3)
    odd = {"prompt_tokens": "7", "completion_tokens": 4.0}
    answer = reading({**body, "model": None, "usage": odd})
    assert (answer.text, answer.finish_reason, answer.model) == ("Yes.", "stop", "")
    assert (answer.prompt_tokens, answer.completion_tokens) == (0, 4)
    more: list[Any] = [None, [], {"prompt_tokens": -1}, {"prompt_tokens": True}]
    for usage in more:
        assert reading({**body, "usage": usage}).prompt_tokens == 0


def test_parts_are_joined_and_those_without_text_skipped() -> None:
    """Contents can be lists."""
    parts = [{"type": "text", "text": "Sky "}, {"type": "image", "image": "…"}, 7, {"text": None}, "is blue."]
    assert reading(said({"content": parts})).text == "Sky is blue."


def test_a_refusals_words_are_the_answer() -> None:
    """The reader learns why there is none."""
    assert reading(said({"content": None, "refusal": "I may not."})).text == "I may not."


def test_tool_calls_need_no_text() -> None:
    """A raw completion may answer with tool calls alone."""
    answer = reading(said({"content": None, "tool_calls": [{"id": "1"}]}, finish_reason="tool_calls"))
    assert (answer.text, answer.finish_reason) == ("", "tool_calls")


@pytest.mark.parametrize(
    ("reason", "words"), [("content_filter", "content filter"), ("length", "MAX_TOKENS"), ("stop", "empty answer")]
)
def test_an_empty_answer_says_why(reason: str, words: str) -> None:
    """So that a person can act on it."""
    with pytest.raises(EmptyResponse, match=words):
        reading(said({"content": ""}, finish_reason=reason))


def test_half_a_surrogate_pair_and_nul_are_mended() -> None:
    """The strict parser refuses the former; the answer was paid for, and may be a part that is asked about again."""
    read = reading(rb'{"choices":[{"message":{"content":"a\ud83d\u0000"}}]}')
    assert read.text == "a\N{REPLACEMENT CHARACTER}"


BODIES = (
    *(
        b"",
        b" ",
        b"null",
        b"7",
        b'"text"',
        b"[]",
        b"{}",
        b"{",
        b"\xff\xfe",
        b"<html>",
        b"[" * 100_000,
        b'{"a":' * 9_999,
    ),
    *(b'{"choices":%s}' % odd for odd in (b"null", b"{}", b"[]", b"[7]", b"[[]]", b'[{"message":[]}]', b'"x"')),
)
NAMES = st.sampled_from(["choices", "message", "content", "error", "usage", "text", "refusal", "code"])
SCALARS = st.none() | st.booleans() | st.integers() | st.text()


@pytest.mark.parametrize("body", BODIES, ids=[repr(body[:20]) for body in BODIES])
def test_what_is_no_completion_is_an_error_of_the_tree(body: bytes) -> None:
    """Nothing a provider sends ends in another exception."""
    with pytest.raises(UpstreamFailure) as caught:
        reading(body)
    assert type(caught.value) in (UpstreamError, EmptyResponse)


@given(st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner)))
def test_any_json_is_read_or_an_error_of_the_tree(body: Any) -> None:
    """The same, for whatever shape JSON can take, at 200 and at 500."""
    for status in (200, 500):
        try:
            reading(body, status)
        except UpstreamFailure as exc:
            assert str(exc)
