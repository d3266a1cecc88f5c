"""Walking JSON in steps: the same ends, texts and refusals as in one call, whatever the length of a step."""

import json
import sys
import time
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.core import json_walk
from sidecar.core.json_walk import Walk
from sidecar.core.raw_json import fields_of, found

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.text('\\"\n,[]{}:é🙂a', max_size=40)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(TEXTS, inner, max_size=6),
    max_leaves=30,
)
NO_JSON = [
    b'{"a":[1,2,]}',
    b'{"a":[1,2}',
    b'{"a" 1}',
    b'{"a":1,}',
    b'{"a":1 "b":2}',
    b'{"a":"x\\q"}',
    b'{"a":"\\u12g4"}',
    b'{"a":"\\ud800"}',
    b'{"a":"x\ny"}',
    b'{"a":nul}',
    b'{"a":NaN}',
    b"{1:2}",
    b'{"a":[[[1]]}',
    b'["a","b]',
    b"[1 2]",
    b"[",
    b'["',
    b'["\\',
]


@pytest.fixture(params=[2, 7, 40])
def steps(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Make every step so short that values of a test are long ones."""
    step: int = request.param
    monkeypatch.setattr(json_walk, "STEP", step)
    return step


@settings(max_examples=60)
@given(value=VALUES, spaced=st.booleans(), ascii_only=st.booleans(), step=st.sampled_from([5, 8, 13, 50, 400]))
def test_every_value_ends_where_it_ends(value: object, spaced: bool, ascii_only: bool, step: int) -> None:
    """With white space, escapes and characters of any width."""
    text = json.dumps(value, ensure_ascii=ascii_only, indent=1 if spaced else None).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_walk, "STEP", step)
        walk = Walk(text + b" , 1")
        assert walk.end(0) == len(text)
        if isinstance(value, str):
            assert walk.string(0) == (value, len(text))


@pytest.mark.parametrize("text", NO_JSON)
def test_what_is_no_json_has_no_end(text: bytes, steps: int) -> None:
    """At any place, in steps of any length."""
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(text)
    try:
        end = Walk(text).end(0)
    except ValueError:
        return
    assert end < len(text), f"in steps of {steps}"


def test_a_long_string_is_cut_between_its_characters() -> None:
    """Neither in an escape nor in a pair, at any offset."""
    for part in ("é", "🙂", "\n", '"\\', "a\n🙂"):
        for offset in (0, 1, 5, 6, 11):
            text = "x" * offset + part * (json_walk.STEP // len(part.encode()) + 9)
            for ascii_only in (False, True):
                raw = json.dumps(text, ensure_ascii=ascii_only).encode()
                assert Walk(raw).string(0) == (text, len(raw))


@settings(max_examples=15)
@given(st.dictionaries(TEXTS, VALUES, max_size=4))
def test_fields_of_a_long_object_are_those_of_a_short_one(value: dict[str, object]) -> None:
    """Undecoded, byte by byte."""
    raw = msgspec.json.encode(value | {"x": "y" * 300_000})
    decoded = {name: msgspec.json.decode(field) for name, field in fields_of(raw).items()}
    assert decoded == msgspec.json.decode(raw)


def test_deep_nesting_takes_the_time_of_its_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each level that is walked in steps looks at the start of what is inside, so that few levels may be."""
    looks = 0

    class Counted:
        def decode(self, raw: bytes) -> object:
            nonlocal looks
            looks += len(raw)
            return decoder.decode(raw)

    decoder = json_walk._raw
    monkeypatch.setattr(json_walk, "_raw", Counted())
    inside = b",".join([b"[]"] * 60_000)
    text = b"[" * 200 + inside + b"]" * 200
    assert Walk(text).end(0) == len(text)
    assert Walk(text + b" ,1").end(0) == len(text)
    assert looks < 80 * len(text)
    with pytest.raises(ValueError, match="JSON"):
        Walk(text[:-1] + b"}").end(0)


@pytest.mark.parametrize("end", [b"", b"}", b"}}", b'}"', b',"b":1'])
def test_a_long_object_that_is_none_has_no_fields(end: bytes) -> None:
    """As a short one."""
    raw = b'{"a":"%s"%s' % (b"y" * 300_000, end)
    if end == b"}":
        assert set(fields_of(raw)) == {"a"}
        return
    with pytest.raises(msgspec.DecodeError):
        fields_of(raw)


def test_a_search_in_steps_finds_what_is_across_two() -> None:
    """And nothing else."""
    for at in range(65_530, 65_540):
        assert found(b"\\u0000", b"x" * at + b"\\u0000" + b"x" * 70_000)
    assert not found(b"\\u0000", b"x" * 140_000)


def longest_call(work: Callable[[], object]) -> float:
    """Return the CPU seconds of the longest call of C code."""
    began: list[float] = []
    longest = 0.0

    def note(_frame: object, event: str, _call: object) -> None:
        nonlocal longest
        if event == "c_call":
            began.append(time.thread_time())
        elif event in {"c_return", "c_exception"} and began:
            longest = max(longest, time.thread_time() - began.pop())

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return longest


@pytest.mark.parametrize("part", [b"[]", b"[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]", b'{"a":1,"b":[1]}'])
def test_no_call_sees_a_large_value_whole(part: bytes) -> None:
    """Other threads run between two calls: none takes a tenth of what one call for all takes."""
    raw = b'{"x":[%s]}' % b",".join([part] * (4 * 2**20 // len(part)))
    began = time.thread_time()
    msgspec.json.decode(raw, type=msgspec.Raw)
    whole = time.thread_time() - began
    assert longest_call(lambda: fields_of(raw)) < max(whole / 3, 0.002)
