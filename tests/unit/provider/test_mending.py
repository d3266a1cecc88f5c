"""What providers write beside JSON, in large answers: the values that small answers have."""

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sidecar.core.contract import sendable
from sidecar.provider import codec
from sidecar.provider.answers import large, mending
from sidecar.provider.answers.mending import mended, without_nul
from sidecar.provider.answers.whole import LARGE_BYTES, decoded

_PARTS = (
    *("NaN", "-Infinity", "Infinity", '\\"', "\\\\", "\\n", "\\u0000", "\\ud83d\\ude00", "\\ud83d", "\\ude00"),
    *(",", "[", "a", " ", "é", "\\u00e9", "\\\\u0000", "\\\\ud83d"),
)
WORDS = st.lists(
    st.sampled_from(_PARTS),
    max_size=12,
).map("".join)
COUNT = 8000
STRINGS = WORDS.map(lambda words: f'"{words}"')
SCALARS = STRINGS | st.sampled_from(["NaN", "-Infinity", "Infinity", "1", "-2.5", "null", "true", "1e400"])
TEXTS = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=5).map(lambda found: f"[{','.join(found)}]")
        | st.lists(st.tuples(STRINGS, inner), max_size=4).map(
            lambda found: "{" + ", ".join(f"{name}: {value}" for name, value in found) + "}"
        )
    ),
)


def clean(value: Any) -> Any:
    """Return the value with texts as callers get them, and infinities as null."""
    if isinstance(value, str):
        return sendable(value)
    if isinstance(value, list):
        return [clean(item) for item in value]
    if isinstance(value, dict):
        return {sendable(name): clean(item) for name, item in value.items()}
    return None if value in (float("inf"), float("-inf")) else value


@settings(max_examples=80)
@given(TEXTS, st.sampled_from([8, 16, 30, 1000]))
@example('"\\ud83d\\u0000\\ude00"', 8)
def test_a_large_text_has_the_values_of_a_small_one(text: str, step: int) -> None:
    """Constants are null outside of strings, and halves of pairs are no characters, wherever a piece ends."""
    raw = text.encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mending, "_STEP", step)
        assert clean(codec.decode(mended(raw))) == clean(codec.decode(raw))
        assert clean(json.loads(codec.encode(large.decode(raw)))) == clean(codec.decode(raw))
        # Halves are mended first, since two of them with NUL in between would become a character.
        assert clean(codec.decode(without_nul(mended(raw)))) == clean(codec.decode(raw))


def test_a_constant_in_a_large_answer_is_null_and_the_rest_stays_raw() -> None:
    """Decoded by Python's parser, 16 MiB of it would hold up every thread for two seconds."""
    one = b'{"token":"NaN","logprob":NaN,"bytes":[97]}'
    many = b",".join([one] * COUNT)
    value = decoded(b'{"model": "m", "x": [%s], "created": 1e400} data: [DONE]' % many)
    assert (value["model"], value["created"]) == ("m", float("inf"))
    entries = json.loads(bytes(value["x"]), parse_constant=pytest.fail)
    assert len(entries) == COUNT
    assert entries[-1] == {"token": "NaN", "logprob": None, "bytes": [97]}


@pytest.mark.parametrize("rest", [b" x", b"}", b"]"])
def test_other_words_behind_an_answer_are_no_json(rest: bytes) -> None:
    """As behind a small one."""
    with pytest.raises(ValueError, match=r"."):
        decoded(b'{"x": "%s"}%s' % (b"y" * LARGE_BYTES, rest))
