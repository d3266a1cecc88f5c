"""Promises of the charts: every click is in them, whatever its time, and they say in words what they show."""

import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.rehearse import terminal_chart
from sidecar.rehearse.plan import Plan
from sidecar.rehearse.replies import Click, Reply
from sidecar.rehearse.result import result_of
from sidecar.rehearse.svg import nice, picture
from sidecar.rehearse.timeline import timeline
from tests.support.rehearsals import log_of

CLICKS = st.lists(
    st.builds(
        lambda start, seconds, code: Click(start, start + seconds, Reply(code)),
        st.floats(0, 60),
        st.floats(0, 30),
        st.sampled_from(["ok", "overloaded", "timeout", "upstream_error", "unfinished"]),
    ),
    max_size=40,
)


@given(CLICKS, st.floats(0, 90), st.integers(1, 60))
def test_no_click_is_lost_in_a_timeline(clicks: list[Click], seconds: float, columns: int) -> None:
    """Every beginning and every ending is in one column; as many wait as there are clicks at most."""
    time = timeline(clicks, seconds, columns)
    assert sum(time.arrived) == len(clicks)
    ended = sum(sum(counts) for counts in time.ended.values())
    assert ended == sum(click.kind != "unfinished" for click in clicks)
    assert all(0 <= count <= len(clicks) for count in time.waiting)
    assert {len(time.waiting), len(time.arrived), *map(len, time.ended.values())} == {columns}


def test_those_who_wait_are_counted_in_every_column_of_their_wait() -> None:
    """Two waits of 6 s and 2 s in columns of 2 s."""
    clicks = [Click(1, 7, Reply("ok")), Click(3, 5, Reply("ok"))]
    assert timeline(clicks, 10, 5).waiting == [1, 2, 2, 1, 0]


@given(CLICKS, st.sampled_from([terminal_chart.BLOCKS, terminal_chart.ASCII]))
def test_a_terminals_chart_keeps_to_its_width(clicks: list[Click], ramp: str) -> None:
    """Also where nobody came; a terminal without Unicode gets ASCII alone."""
    lines = terminal_chart.chart(timeline(clicks, 60, 40), ramp=ramp)
    assert max(map(len, lines)) <= terminal_chart.MARGIN + 40 + terminal_chart.TOTALS
    assert ramp == terminal_chart.BLOCKS or "\n".join(lines).isascii()


def test_a_terminals_chart_shows_one_refusal_among_many_answers() -> None:
    """What happened once is seen, and counted at the end of its line."""
    clicks = [Click(0, 1, Reply("ok"))] * 500 + [Click(0, 30, Reply("overloaded"))]
    lines = terminal_chart.chart(timeline(clicks, 60, 40))
    [refused] = [line for line in lines if "refused" in line]
    assert refused.endswith(" 1")
    assert "▁" in refused
    assert not [line for line in lines if "too late" in line]


@given(CLICKS)
def test_a_picture_is_one_whole_document(clicks: list[Click]) -> None:
    """Valid XML with a title and a description, nothing outside it, and every coordinate a number."""
    text = picture(result_of(Plan(), log_of(clicks, seconds=90), None, interrupted=False), clicks)
    root = ET.fromstring(text)
    names = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert (
        {"title", "desc", "text"}
        <= names
        <= {"svg", "title", "desc", "rect", "text", "path", "polyline", "polygon", "circle"}
    )
    assert not re.search(r"href|url\(|nan|inf\b|script", text)


def test_a_picture_says_its_result() -> None:
    """The numbers are in the title, so that a picture alone can be read."""
    clicks = [Click(0, 2, Reply("ok"))] * 3 + [Click(0, 1, Reply("overloaded"))]
    text = picture(result_of(Plan(users=4), log_of(clicks), None, interrupted=True), clicks)
    assert "4 pupils within 60 s: 75 % answered, p95 of the waits 2.0 s (stopped early)" in text
    assert "refused 1" in text
    assert "too late" not in text


@pytest.mark.parametrize(("value", "found"), [(0.03, 0.05), (0.1, 0.1), (1, 1), (1.01, 2), (3, 5), (7, 10), (0, 1e-6)])
def test_steps_are_round(value: float, found: float) -> None:
    """One, two or five times a power of ten."""
    assert nice(value) == pytest.approx(found)
