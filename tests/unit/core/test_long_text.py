"""Long texts in pieces: the same as in one call."""

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sidecar.core import long_text
from sidecar.core.contract import Reply, answered, encode_reply, reply_body
from sidecar.core.long_text import bounds, encodable, part, pieces, place_of, replaced

TEXTS = st.text(st.sampled_from('a <"\\\n\u00a0é\u0141🙂'), max_size=60)


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make pieces so short that a test's texts are long."""
    monkeypatch.setattr(long_text, "PIECE", 7)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TEXTS, st.integers(0, 70), st.integers(0, 70))
def test_pieces_are_the_text(text: str, begin: int, end: int) -> None:
    """A part, what is without white space, and what is replaced too."""
    assert "".join(pieces(text)) == text
    assert part(text, begin, min(end, len(text))) == text[begin : min(end, len(text))]
    first, last = bounds(text)
    assert text[first:last] == text.strip()
    assert replaced(text, "<", "< ") == text.replace("<", "< ")
    assert place_of('"\\', text) == text.find('"\\')


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.recursive(TEXTS | st.none(), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner)))
def test_long_texts_are_encoded_as_short_ones(value: object) -> None:
    """At any depth."""
    assert msgspec.json.encode(encodable(value)) == msgspec.json.encode(value)


def test_half_of_a_pair_in_a_long_text_is_refused_as_in_a_short_one() -> None:
    """The caller of the encoder mends it then."""
    with pytest.raises(UnicodeEncodeError):
        encodable("x" * 20 + "\ud800")


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TEXTS)
def test_a_long_reply_is_the_same_line(text: str) -> None:
    """Over HTTP and over stdio."""
    long = text + '"data":""' * 20
    for reply in (answered(long), Reply(success=True, data=long, error=None, job_id="j")):
        expected = msgspec.json.encode(reply)
        assert encode_reply(reply) == expected
        assert reply_body(reply) == expected
