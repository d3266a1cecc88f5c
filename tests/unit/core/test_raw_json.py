"""JSON that stays raw: what is looked at, what is bounded, what is refused all the same."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core import raw_json
from sidecar.core.errors import InvalidRequest


def raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(json.dumps(value).encode())


@given(st.binary(max_size=40), st.text(max_size=40), st.integers(0, 9))
def test_utf8_is_what_python_says(tail: bytes, text: str, offset: int) -> None:
    """Also where a character lies across the border of two steps."""
    whole = b"a" * (64 * 1024 - offset) + text.encode() + tail
    try:
        whole.decode()
    except UnicodeDecodeError:
        with pytest.raises(UnicodeDecodeError):
            raw_json.check_utf8(whole)
    else:
        raw_json.check_utf8(whole)


def test_an_object_of_too_many_fields_is_refused_before_it_is_built() -> None:
    """As many as allowed are taken, each still raw."""
    most = {f"k{number}": [number] for number in range(raw_json.MOST_FIELDS)}
    assert {name: msgspec.json.decode(value) for name, value in raw_json.fields_of(raw(most)).items()} == most
    with pytest.raises(InvalidRequest, match=f"{raw_json.MOST_FIELDS} fields"):
        raw_json.fields_of(raw(most | {"more": 1}))


def test_a_value_is_opened_only_where_its_memory_is_bounded() -> None:
    """Numbers that no float holds stay closed too."""
    assert raw_json.opened(raw({"a": ["ü"]}), 1000) == {"a": ["ü"]}
    assert raw_json.opened("plain", 0) == "plain"
    for closed in (raw([[]] * 100), raw("x" * 1001), msgspec.Raw(b"1e400")):
        with pytest.raises(raw_json.TooMuch):
            raw_json.opened(closed, 1000)


def test_messages_are_read_anew_at_each_look() -> None:
    """Their short values are decoded, their contents and lists stay raw."""
    said = [{"role": "user", "content": "x" * 2000, "n": None}, {"role": "tool", "parts": [1]}]
    messages = raw_json.RawMessages(raw(said), 2)
    assert len(messages) == 2
    for _ in range(2):
        first, second = messages
        assert (first["role"], first["n"], second["role"]) == ("user", None, "tool")
        assert msgspec.json.decode(first["content"]) == "x" * 2000
        assert msgspec.json.decode(second["parts"]) == [1]
    assert messages[1]["role"] == "tool"


def test_messages_of_fields_beyond_all_bounds_are_not_read() -> None:
    """They pass to the provider all the same."""
    fields = {f"k{number}": 0 for number in range(1000)}
    with pytest.raises(raw_json.TooMuch):
        list(raw_json.RawMessages(raw([fields] * 20), 20))


@pytest.mark.parametrize(
    ("value", "dense"),
    [("A sentence of some words, and its second half. " * 1000, False), ([[]] * 1000, True), ([[]] * 99, False)],
)
def test_text_is_not_dense_and_small_values_are(value: object, dense: bool) -> None:
    """A text has commas; a body of lists has little else. A few values are cheap, however small the body."""
    body = json.dumps(value).encode()
    assert raw_json.dense(body, raw_json.values_in(body)) is dense
