"""What Moodle stores of an answer fits its columns and types, whatever the provider sent; the rest passes."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.errors import UpstreamFailure
from sidecar.core.ports import Call, Completion
from sidecar.http.responses.openai import encode
from sidecar.provider.answers.reader import read
from sidecar.provider.http_answer import Answer

CALL = Call(messages=[{"role": "user", "content": "Why?"}], max_tokens=7)


def sent(body: Any, *, spaced: bool = False) -> Any:
    """What this route makes of a provider's body."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    completion = read(Answer(200, {}, raw), CALL, ())
    out = encode(completion, model="m", fallback_id="chatcmpl-1", spaced=spaced)
    answer = json.loads(out.decode("utf-8", "strict"))
    assert "\0" not in "".join(texts(answer))
    return answer


def texts(value: Any) -> Iterator[str]:
    """Every text in it, names included."""
    if isinstance(value, str):
        yield value
    for item in [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else []:
        yield from texts(item)


def said(message: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], **fields}


def text(answer: Any) -> Any:
    return answer["choices"][0]["message"]["content"]


def check(answer: Any) -> None:
    """What Moodle's provider reads and stores."""
    assert 0 < len(answer["model"]) <= 50
    assert 0 < len(answer["id"]) <= 128
    assert isinstance(answer["system_fingerprint"], str)
    assert len(answer["system_fingerprint"]) <= 128
    for name in ("prompt_tokens", "completion_tokens", "total_tokens"):
        assert type(answer["usage"][name]) is int
        assert answer["usage"][name] >= 0
    assert answer["object"] == "chat.completion"
    assert type(answer["created"]) is int
    assert answer["choices"]
    for choice in answer["choices"]:
        assert re.fullmatch("[A-Za-z_-]{1,128}", choice["finish_reason"])
        content = choice["message"]["content"]
        assert isinstance(content, str) or (content is None and choice["message"].get("tool_calls"))
        json.dumps(answer, ensure_ascii=False).encode("utf-8", "strict")


def test_a_good_answer_passes_unchanged() -> None:
    """Every field of it, known or not."""
    body = said(
        {"role": "assistant", "content": "Because.", "refusal": None, "annotations": []},
        id="chatcmpl-7",
        object="chat.completion",
        created=1700000000,
        model="gpt-4o-2024-08-06",
        system_fingerprint="fp_1",
        service_tier="default",
        usage={
            "prompt_tokens": 3,
            "completion_tokens": 2,
            "total_tokens": 5,
            "prompt_tokens_details": {"cached_tokens": 1},
        },
    )
    assert sent(body) == body


def test_what_a_bare_answer_lacks_is_there() -> None:
    """A message is all that some gateways send."""
    answer = sent({"choices": [{"message": {"content": "Yes."}}]})
    check(answer)
    assert (answer["id"], answer["model"], answer["system_fingerprint"]) == ("chatcmpl-1", "m", "")
    assert answer["usage"] == {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    assert answer["choices"][0] == {
        "index": 0, "message": {"role": "assistant", "content": "Yes."}, "finish_reason": "stop",
    }  # fmt: skip


@pytest.mark.parametrize(
    "odd", [None, 7, 1.5, True, [], {}, "", " ", "x" * 500, "\u0000a", "ü" * 500, "\ud800"], ids=repr
)
def test_odd_values_are_made_to_fit(odd: Any) -> None:
    """Whatever stands where Moodle reads."""
    body = said({"content": "Yes.", "role": "assistant"}, id=odd, model=odd, system_fingerprint=odd, created=odd)
    body["choices"][0]["finish_reason"] = odd
    body["usage"] = {"prompt_tokens": odd, "completion_tokens": odd, "total_tokens": odd}
    check(sent(body))
    body["usage"] = odd
    check(sent(body))


@pytest.mark.parametrize(
    ("reason", "stored"),
    [
        ("stop", "stop"),
        ("content_filter", "content_filter"),
        ("end-turn", "end-turn"),
        ("STOP 2!", "STOP"),
        ("7", "stop"),
    ],
)
def test_a_finish_reason_is_letters_and_dashes(reason: str, stored: str) -> None:
    """Moodle throws at anything else."""
    body = said({"content": "Yes."})
    body["choices"][0]["finish_reason"] = reason
    assert sent(body)["choices"][0]["finish_reason"] == stored


def test_counts_that_are_no_integers_become_some() -> None:
    """Some gateways send 4.0."""
    body = said({"content": "Yes."}, usage={"prompt_tokens": 4.0, "completion_tokens": "7", "total_tokens": 4.0})
    assert sent(body)["usage"] == {"prompt_tokens": 4, "completion_tokens": 0, "total_tokens": 4}


def test_parts_and_refusals_become_the_text() -> None:
    """Moodle reads a string; without one it would store a blank answer."""
    assert text(sent(said({"content": [{"type": "text", "text": "a"}, {"type": "x"}, "b"]}))) == "ab"
    refused = sent(said({"content": None, "refusal": "I may not."}))
    assert (text(refused), refused["choices"][0]["message"]["refusal"]) == ("I may not.", "I may not.")


def test_tool_calls_keep_their_null() -> None:
    """As OpenAI sends it, and SDKs expect it."""
    calls = [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    body = said({"content": None, "tool_calls": calls})
    body["choices"][0]["finish_reason"] = None
    choice = sent(body)["choices"][0]
    assert (choice["message"]["content"], choice["message"]["tool_calls"]) == (None, calls)
    assert choice["finish_reason"] == "tool_calls"


def test_every_choice_is_shaped() -> None:
    """n=2 is two answers."""
    body = {"choices": [{"message": {"content": "a"}}, {"message": {"content": ["b"]}}, 7, {}]}
    assert [choice["message"]["content"] for choice in sent(body)["choices"]] == ["a", "b"]


@pytest.mark.parametrize(
    ("code", "stored"), [("a<b", "a< b"), ("Vec<int>", "Vec< int>"), ("<<", "< < "), ("1 < 2", "1 <  2")]
)
def test_generated_text_gets_a_space_after_each_less_than(code: str, stored: str) -> None:
    """Or Moodle's tag stripper would find a tag and throw; other actions keep the text as it is."""
    assert text(sent(said({"content": code}), spaced=True)) == stored
    assert text(sent(said({"content": code}))) == code


def test_nul_and_half_surrogates_are_gone_wherever_they_were() -> None:
    """PHP's decoder refuses half a pair anywhere, and a name that begins with NUL."""
    raw = rb'{"choices":[{"message":{"content":"a\u0000b\ud83d","x":["\udc00"]}}],"\u0000k":"\u0000","y":{"\ud800":1}}'
    answer = sent(raw)
    check(answer)
    assert text(answer) == "ab\ufffd"
    assert (answer["k"], answer["y"]) == ("", {"\ufffd": 1})
    assert text(sent(rb'{"choices":[{"message":{"content":"\ud83d\ude00 \\u0000"}}]}')) == "😀 \\u0000"


NAMES = st.sampled_from(
    ["choices", "message", "content", "tool_calls", "usage", "model", "id", "refusal", "finish_reason"]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=()))
)
ANY = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | st.text(), inner, max_size=4)
)


@given(st.dictionaries(NAMES, ANY), st.dictionaries(NAMES, ANY), st.text(min_size=1))
def test_any_answer_fits(body: dict[str, Any], message: dict[str, Any], content: str) -> None:
    """Whatever a provider puts around a text, or it is one of our errors."""
    try:
        answer = sent({**body, "choices": [{**body, "message": {**message, "content": content}}]})
    except UpstreamFailure:
        return
    check(answer)


def test_an_answer_nested_beyond_reason_is_an_error_of_the_tree() -> None:
    """No fault of ours."""
    deep: Any = "\ud800"
    for _ in range(700):
        deep = [deep]
    completion = Completion(text="a", body={"choices": [{"message": {"content": "a"}}], "x": deep})
    try:
        encode(completion, model="m", fallback_id="i", spaced=False)
    except UpstreamFailure as exc:
        assert "nested" in str(exc)
