"""Server-sent events, however the bytes are cut."""

import itertools
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.provider.sse import Event, Events, EventTooLargeError

line = st.binary(max_size=30).map(lambda raw: raw.replace(b"\r", b"").replace(b"\n", b""))
ends = st.sampled_from([b"\n", b"\r", b"\r\n"])


def cut(raw: bytes, places: Iterable[int]) -> list[bytes]:
    """The bytes in pieces, cut at these places; empty pieces too."""
    edges = [0, *sorted(place % (len(raw) + 1) for place in places), len(raw)]
    return [raw[start:end] for start, end in itertools.pairwise(edges)]


def parsed(pieces: Iterable[bytes], limit: int = 2**20) -> list[Event]:
    parser = Events(limit)
    return [event for piece in pieces for event in parser.feed(piece)]


@given(
    st.lists(st.tuples(st.sampled_from([b"data:", b"data: ", b"event: ", b":", b"id: ", b"", b"data"]), line, ends)),
    st.lists(st.integers(0, 10_000), max_size=20),
)
def test_any_cutting_gives_the_same_events(lines: list[tuple[bytes, bytes, bytes]], places: list[int]) -> None:
    """What arrives in one piece or byte by byte is the same stream."""
    raw = b"".join(b"".join(one) for one in lines)
    whole = parsed([raw])
    assert parsed(cut(raw, places)) == whole
    assert parsed(raw[at : at + 1] for at in range(len(raw))) == whole


@given(st.lists(st.lists(line, min_size=1, max_size=4), max_size=6), ends, st.lists(st.integers(0, 10_000)))
def test_what_is_written_is_read(messages: list[list[bytes]], end: bytes, places: list[int]) -> None:
    """Data lines of one event come back joined, whichever line end is used."""
    raw = b"".join(b"".join(b"data: " + one + end for one in message) + end for message in messages)
    assert [event.data for event in parsed(cut(raw, places))] == [b"\n".join(message) for message in messages]


def test_comments_ids_names_and_byte_order_marks_are_understood() -> None:
    """Signs of life are not events; an event's type comes along; what has not ended is none."""
    raw = b"\xef\xbb\xbfdata: 1\n\n: ping\n\nid: 7\nretry: 5\n\nevent: error\ndata:{}\n\ndata: unfinished\n"
    assert parsed([raw]) == [Event(b"1"), Event(b"{}", b"error")]


@pytest.mark.parametrize("raw", [b"data: " + b"x" * 101, b"data: 12345678\n" * 13, b"y" * 101])
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_an_event_without_end_is_refused(raw: bytes, size: int) -> None:
    """Neither one long line nor many short ones grow beyond the limit."""
    pieces = [raw[at : at + size] for at in range(0, len(raw), size)]
    with pytest.raises(EventTooLargeError):
        parsed(pieces, limit=100)


def test_the_end_of_the_body_completes_an_event() -> None:
    """Some gateways leave out the last blank line, or the last line end too."""
    for raw in (b"data: 1\n\ndata: 2", b"data: 1\n\ndata: 2\n"):
        parser = Events()
        assert list(parser.feed(raw)) == [Event(b"1")]
        assert parser.finish() == Event(b"2")
        assert parser.finish() is None


def test_a_bare_object_between_events_is_an_event() -> None:
    """Model servers that die write their error so."""
    assert parsed([b'data: 1\n\n{"error":"x"}\n\n']) == [Event(b"1"), Event(b'{"error":"x"}')]


def test_comments_are_counted() -> None:
    """A server says by them that it is still at work."""
    parser = Events()
    assert list(parser.feed(b": a\n\n:\n\ndata: 1\n\n")) == [Event(b"1")]
    assert parser.signs == 2


def test_many_events_are_no_large_event() -> None:
    """The limit is for each event, not for the stream."""
    assert len(parsed([b"data: 1234\n\n" * 1000], limit=100)) == 1000
