"""From a body in OpenAI's shape to a provider call: what is looked at, what is passed on, what is refused."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.errors import InvalidJSON, InvalidRequest
from sidecar.http.schemas.completion_policy import PLAIN, POLICIES, policy_of
from sidecar.http.schemas.completions import CompletionBody, WrongField, parse

MESSAGES = [{"role": "user", "content": "Why?"}]


def parsed(fields: Any = None, *, passthrough: bool = False, deployment: str = "", **more: Any) -> CompletionBody:
    body = json.dumps({"messages": MESSAGES, **more} if fields is None else fields).encode()
    return parse(body, max_tokens=4096, passthrough=passthrough, deployment=deployment)


def test_unknown_fields_and_parts_pass_as_they_came() -> None:
    """Tools, formats, pictures, what nobody knows yet: the provider's business."""
    parts = [
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "d"}}]}
    ]
    more = {"tools": [{"type": "function"}], "temperature": 0.1, "seed": 2**70, "stop": None, "new": {"deep": [1, "ü"]}}
    asked = parsed({"messages": parts, **more})
    assert asked.call.messages == parts
    assert asked.call.extra == more


def test_a_request_without_a_limit_gets_one() -> None:
    """So does one whose limit is null; a limit under either name is the caller's."""
    assert (parsed().call.max_tokens, parsed().call.extra) == (4096, {})
    assert parsed(max_tokens=None, max_completion_tokens=None).call.extra == {}
    assert parsed(max_tokens=7).call.extra == {"max_tokens": 7}
    assert parsed(max_completion_tokens=7).call.extra == {"max_completion_tokens": 7}


def test_a_message_that_calls_a_tool_needs_no_content() -> None:
    """Null is what OpenAI itself writes there."""
    messages = [*MESSAGES, {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}]
    assert parsed({"messages": messages}).call.messages == messages


def test_the_requested_model_is_ignored_unless_it_is_passed_through() -> None:
    """Moodle's admin may leave gpt-4o in the form; an Azure client names the model in the address."""
    assert parsed(model="gpt-4o").call.model == ""
    assert parsed(model="gpt-4o", passthrough=True, deployment="d").call.model == "gpt-4o"
    assert parsed(passthrough=True, deployment="d").call.model == "d"
    assert parsed(passthrough=True).call.model == ""


@pytest.mark.parametrize(("user", "known"), [("anna", "anna"), (7, "7"), (None, ""), (" ", "")])
def test_the_user_is_taken_out_of_the_body(user: object, known: str) -> None:
    """It is for fairness; what the provider may know of it is decided elsewhere."""
    asked = parsed(user=user)
    assert (asked.user, asked.call.user, asked.call.extra) == (known, "", {})


def test_stream_is_a_verb_and_no_field() -> None:
    """Its options go with it."""
    asked = parsed(stream=True, stream_options={"include_usage": True})
    assert (asked.stream, asked.call.extra) == (True, {"stream_options": {"include_usage": True}})
    assert not parsed(stream=None).stream


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "hello"}, "messages"),
        ({"messages": ["hello"]}, "messages"),
        ({"messages": MESSAGES, "model": 7}, "model"),
        ({"messages": MESSAGES, "model": "a\nb"}, "model"),
        ({"messages": MESSAGES, "model": "x" * 201}, "model"),
        ({"messages": MESSAGES, "user": []}, "user"),
        ({"messages": MESSAGES, "user": True}, "user"),
        ({"messages": MESSAGES, "stream": "yes"}, "stream"),
        ({"messages": [{"role": "user", "content": None}]}, "messages"),
        ({"messages": [{"role": "assistant", "content": None, "tool_calls": []}]}, "messages"),
        ({"messages": MESSAGES, "max_tokens": 0}, "max_tokens"),
        ({"messages": MESSAGES, "max_tokens": -1}, "max_tokens"),
        ({"messages": MESSAGES, "max_completion_tokens": 0.0}, "max_completion_tokens"),
    ],
)
def test_a_wrong_field_is_named(fields: Any, param: str) -> None:
    """In the sentence and for programs."""
    with pytest.raises(WrongField, match=param) as caught:
        parsed(fields)
    assert caught.value.param == param


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b"{", b"\xff", b"[" * 100_000, b'{"a":"\\ud800"}', b'{"a":1e400}']
)
def test_what_is_no_object_is_refused(body: bytes) -> None:
    """With one error, whatever is wrong."""
    with pytest.raises(InvalidJSON):
        parse(body, max_tokens=1, passthrough=False)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda i: (
            st.lists(i)
            | st.dictionaries(st.sampled_from(["messages", "model", "user", "stream", "max_tokens", "x"]), i)
        ),
    )
)
def test_any_json_is_a_call_or_a_clear_refusal(body: Any) -> None:
    """Nothing a caller sends ends in another exception."""
    try:
        parse(json.dumps(body).encode(), max_tokens=1, passthrough=True)
    except (InvalidJSON, InvalidRequest) as exc:
        assert str(exc)


def test_an_action_says_what_may_be_shared() -> None:
    """Moodle's own names for the three, in any case; a mistyped one makes a plain request."""
    assert {name for name, policy in POLICIES.items() if policy.shared} == {
        *("summarize", "summarise", "summarise_text", "explain", "explain_text", "analyze", "analyse")
    }
    assert policy_of(" Summarise_Text ").shared
    assert policy_of("generate_text").spaced
    assert policy_of("background").background
    assert policy_of("sumarize") is policy_of("") is PLAIN
