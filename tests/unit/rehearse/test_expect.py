"""Promises of `--expect`: read strictly, with errors that show the way, and held only by what was measured."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.errors import ConfigError
from sidecar.rehearse.expect import MOST_TERMS, Verdict, parsed, verdicts
from sidecar.rehearse.replies import Click, Reply
from sidecar.rehearse.result import Result
from sidecar.rehearse.server_numbers import ProviderCalls
from tests.support.rehearsals import clicks_of, result_with

NAMES = [
    *("answered", "refused", "late", "errors"),
    *("p50", "p95", "p99", "max", "seconds", "worker_seconds"),
    *("workers", "fallbacks", "calls", "saved"),
]
TERMS = st.tuples(
    st.sampled_from(NAMES),
    st.sampled_from([">=", "<=", ">", "<", "="]),
    st.integers(0, 100) | st.floats(0, 100).map(lambda x: round(x, 3)),
)


def held(text: str, result: Result) -> list[bool]:
    return [verdict.held for verdict in verdicts(parsed(text), result)]


@given(st.lists(TERMS, min_size=1, max_size=8), st.sampled_from(["", " "]))
def test_a_list_is_read_as_it_is_written(terms: list[tuple[str, str, float]], space: str) -> None:
    """Each term in its order, white space ignored."""
    text = f"{space},{space}".join(f"{name}{space}{sign}{space}{number:f}" for name, sign, number in terms)
    assert [(x.name, x.operator, round(x.number, 3)) for x in parsed(text)] == terms


@given(st.text(max_size=40))
def test_anything_else_is_an_error_in_one_line(text: str) -> None:
    """It is read, or the fault names its term; no other exception."""
    try:
        found = parsed(text)
    except ConfigError as exc:
        [fault] = exc.faults
        assert fault.startswith("--expect: ")
        assert "\n" not in fault
    else:
        assert all(term.name in NAMES for term in found)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "term 1, which is blank: must be a name"),
        ("answered>=99%,", "term 2, which is blank: must be a name"),
        ("answered", "term 1, answered: must be a name, one of >= <= > < = and a number"),
        ("answered=>99%", "term 1, answered=>99%: must be a name, one of"),
        ("answered>=99%%", "must be a name, one of"),
        ("p95<-1", "must be a name, one of"),
        ("p95<1e3", "must be a name, one of"),
        ("p95<nan\x1b\u202e", "term 1, p95<nan  : must be a name, one of"),
        ("p98<3", "there is no p98; there are: answered, refused"),
        ("p95<20%", "p95 takes seconds"),
        ("answered>=30s", "answered takes a share such as 99%, or a count"),
        ("workers<30s", "workers takes a count"),
        ("answered>=101%", "a share is at most 100%"),
        (",".join(["p95<1"] * (MOST_TERMS + 1)), f"{MOST_TERMS + 1} terms; at most {MOST_TERMS}"),
    ],
)
def test_a_fault_shows_what_is_allowed(text: str, fault: str) -> None:
    """A mistyped expectation must not pass for one that holds."""
    with pytest.raises(ConfigError) as caught:
        parsed(text)
    assert fault in caught.value.faults[0]


def test_shares_are_of_the_clicks_that_ended() -> None:
    """Three of four answered; a count is a count."""
    result = result_with(*clicks_of(ok=3, timeout=1))
    assert held("answered>=75%, answered>75%, answered=3, late<=25%, refused=0, errors<1%", result) == [
        True,
        False,
        True,
        True,
        True,
        True,
    ]


def test_a_burst_that_times_out_does_not_look_well() -> None:
    """Whatever the status was: 125 of 300 too late hold neither a share nor a percentile."""
    clicks = clicks_of(ok=175) + [Click(0, 30, Reply("timeout"))] * 125
    assert held("answered>=99%,p95<20s", result_with(*clicks)) == [False, False]


@pytest.mark.parametrize("text", ["p95<20", "p95>=0", "calls<9", "saved>=0", "answered>=0%", "answered<=100%"])
def test_what_was_not_measured_holds_for_nothing(text: str) -> None:
    """No click, no status: neither direction of an expectation holds."""
    assert held(text, result_with()) == [False]


def test_a_rehearsal_cut_short_proves_nothing() -> None:
    """The end may have been the worst."""
    assert held("answered=100%", result_with(*clicks_of(ok=3), interrupted=True)) == [False]


def test_a_verdict_shows_the_measured_number() -> None:
    """In the unit of its expectation."""
    result = result_with(*clicks_of(ok=2, timeout=1), provider=ProviderCalls(2, 0, 1, "demo"))
    assert verdicts(parsed("answered >= 99.5%,calls<=2"), result) == [
        Verdict("answered>=99.5%", 66.667, held=False),
        Verdict("calls<=2", 2, held=True),
    ]
