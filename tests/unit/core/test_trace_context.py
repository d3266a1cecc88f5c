"""Promises of the W3C trace context: what is taken, what is ignored, and how long it may be."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.trace_context import Passing, TraceContext, trace_context

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
VALID = f"00-{TRACE}-{SPAN}-01"
WELL_FORMED = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")


def taken(*headers: str, state: tuple[str, ...] = ()) -> TraceContext:
    context = trace_context(headers, state)
    assert context is not None
    return context


@pytest.mark.parametrize("flags", ["00", "01", "02", "03", "ff"])
def test_a_valid_header_is_passed_on_as_it_came(flags: str) -> None:
    """With every flag, the random one of new traces included."""
    text = f"00-{TRACE}-{SPAN}-{flags}"
    context = taken(text)
    assert (context.trace_id, context.parent_id, context.flags) == (TRACE, SPAN, int(flags, 16) & 3)
    assert Passing(context).headers == {"traceparent": text}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN.upper()}-01",
        f"0A-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-0A",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"00-{TRACE}0-{SPAN}-01",
        f"00-{TRACE}-{SPAN[:-1]}-01",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01.",
        f"cc-{TRACE}-{SPAN}-01.what-the-future-will-be",
        f"0-{TRACE}-{SPAN}-01",
        f"{VALID}\n",
        f"00-{TRACE[:-1]}٣-{SPAN}-01",
        f"cc-{TRACE}-{SPAN}-01-{'x' * 300}",
    ],
)
def test_an_invalid_header_counts_as_none(text: str) -> None:
    """Wrong lengths, capitals, zeros, the version that is none, and more than version 00 has."""
    assert trace_context([text]) is None


def test_a_version_to_come_is_taken() -> None:
    """Longer or not; of its flags only the one that every version has is known."""
    for text in (f"cc-{TRACE}-{SPAN}-03", f"cc-{TRACE}-{SPAN}-03-what-the-future-will-be"):
        context = taken(text)
        assert (context.trace_id, context.flags) == (TRACE, 1)
        assert context.headers["traceparent"] == text


def test_two_headers_are_none() -> None:
    """Nobody can say which of them is right."""
    assert trace_context([VALID, VALID]) is None
    assert trace_context([]) is None


def test_white_space_around_a_header_does_not_matter() -> None:
    assert taken(f" {VALID}\t").traceparent == VALID


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ((), ""),
        (("a=1",), "a=1"),
        ((" a=1 ,\t b@c=x y,, ",), "a=1,b@c=x y"),
        (("a=1", "b=2"), "a=1,b=2"),
        (("",), ""),
        (("a=1,a=2",), ""),
        (("A=1",), ""),
        (("a",), ""),
        (("a=",), ""),
        (("a=b=c",), ""),
        (("a=\x7f",), ""),
        (("a=ü",), ""),
        ((f"{'k' * 257}=1",), ""),
        ((f"k={'v' * 257}",), ""),
        ((",".join(f"k{number}=1" for number in range(33)),), ""),
        (("a=" + "v" * 9000,), ""),
    ],
)
def test_a_state_is_taken_whole_or_not_at_all(headers: tuple[str, ...], expected: str) -> None:
    """Its members in their order; a wrong one costs the state and never the trace."""
    assert taken(VALID, state=headers).tracestate == expected


def test_a_long_state_loses_its_long_members_and_then_its_last() -> None:
    """What is passed on has at most 512 characters."""
    short = ",".join(f"k{number:02}={'v' * 20}" for number in range(20))
    assert taken(VALID, state=(f"long={'v' * 200},{short}",)).tracestate == short[: 21 * 24 - 1].rstrip(",")


@given(st.text(alphabet="0123456789abcdefABCDEF-. \t", max_size=300) | st.text(max_size=80))
def test_what_is_taken_is_well_formed(text: str) -> None:
    """Whatever a caller sends, the provider gets a header that the standard allows, or none."""
    context = trace_context([text], [text])
    if context is not None:
        assert WELL_FORMED.fullmatch(context.traceparent)
        assert int(context.trace_id, 16)
        assert int(context.parent_id, 16)


@given(st.lists(st.text(max_size=600), max_size=40))
def test_a_state_is_bounded(states: list[str]) -> None:
    """Whatever a caller sends."""
    state = taken(VALID, state=tuple(states)).tracestate
    assert len(state) <= 512
    assert state.isascii()
    assert state.isprintable() or not state


@given(st.lists(st.tuples(st.text("abz019_", min_size=1, max_size=10), st.integers(0, 9)), max_size=40))
def test_a_good_state_stays_as_it_is(members: list[tuple[str, int]]) -> None:
    """As long as it is in the bounds."""
    text = ",".join(f"{key}={value}" for key, value in members)
    keys = [key for key, _ in members]
    good = len(set(keys)) == len(keys) <= 32 and not any(key.startswith("_") for key in keys)
    assert taken(VALID, state=(text,)).tracestate == (text if good else "")
