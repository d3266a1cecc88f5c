"""Promises of the usage report: sums by the dimensions that were chosen, days of a time zone, and several files."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from sidecar.usage.counts import Counts, Key
from sidecar.usage.database import add
from sidecar.usage.report import SUMS, Report, Unreadable, report

BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def key(text: str, **more: str) -> Key:
    names = {"action": "chat", "route": "ai", "token": "", "provider": "", "code": "ok", "user": ""} | more
    return Key(int(at(text).timestamp()), **names)


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A file with an evening, its night and a morning."""
    name = str(tmp_path / "usage.db")
    rows = {
        key("2026-10-31T22:00"): Counts(5, 0, 2, 3, 300, 30),
        key("2026-10-31T23:00"): Counts(1, 0, 0, 1, 100, 10),
        key("2026-11-01T08:00", token="arts"): Counts(4, 0, 0, 4, 400, 40),
        key("2026-11-01T08:00", token="arts", code="overloaded"): Counts(3, 3, 0, 0, 0, 0),
        key("2026-11-01T08:00", code="timeout"): Counts(3, 1, 0, 2, 0, 0),
        key("2026-11-01T09:00", code="cancelled", action="summarize"): Counts(2, 0, 0, 1, 50, 0),
    }
    add(name, rows, since=0)
    return name


def sums(found: Report, *names: str) -> dict[tuple[str, ...], tuple[int, ...]]:
    places = [SUMS.index(name) for name in names]
    return {key: tuple(row[place] for place in places) for key, row in found.rows}


def test_every_request_ends_in_one_way(path: str) -> None:
    """Answered, refused, failed or cancelled; the rest are sums."""
    found = report([path], [])
    assert found.rows == [((), found.total)]
    assert dict(zip(SUMS, found.total, strict=True)) == {
        "requests": 18,
        "answers": 10,
        "refused": 4,
        "failed": 2,
        "cancelled": 2,
        "shared": 2,
        "calls": 11,
        "prompt_tokens": 850,
        "completion_tokens": 80,
    }


def test_days_are_those_of_the_time_zone(path: str) -> None:
    """The hour after eleven in the evening is tomorrow's in Berlin, and September's nowhere."""
    assert sums(report([path], ["day"], zone=UTC), "requests") == {("2026-10-31",): (6,), ("2026-11-01",): (12,)}
    assert sums(report([path], ["day"], zone=BERLIN), "requests") == {("2026-10-31",): (5,), ("2026-11-01",): (13,)}
    assert sums(report([path], ["month"], zone=timezone(timedelta(hours=-12))), "requests") == {("2026-10",): (18,)}


def test_dimensions_come_in_the_order_that_was_chosen(path: str) -> None:
    """Rows are sorted by them."""
    found = report([path], ["token", "hour"], zone=UTC)
    assert found.by == ("token", "hour")
    assert list(sums(found, "requests").items()) == [
        (("", "2026-10-31 22:00"), (5,)),
        (("", "2026-10-31 23:00"), (1,)),
        (("", "2026-11-01 08:00"), (3,)),
        (("", "2026-11-01 09:00"), (2,)),
        (("arts", "2026-11-01 08:00"), (7,)),
    ]


@pytest.mark.parametrize(
    ("since", "until", "requests"),
    [
        ("2026-10-31T23:00", None, 13),
        (None, "2026-10-31T23:00", 5),
        ("2026-10-31T23:00", "2026-11-01T09:00", 11),
        ("2026-12-01T00:00", None, 0),
    ],
)
def test_bounds_are_from_and_until_before(path: str, since: str | None, until: str | None, requests: int) -> None:
    """An hour belongs to the period in which it begins."""
    for by in ([], ["day"], ["action"]):
        found = report([path], by, since=at(since) if since else None, until=at(until) if until else None)
        assert found.total[0] == requests
        assert bool(found.rows) is bool(requests)


def test_several_files_are_one(path: str, tmp_path: Path) -> None:
    """Several web nodes have a file each."""
    other = str(tmp_path / "other.db")
    add(other, {key("2026-10-31T22:00"): Counts(1, 0, 0, 1, 1, 1)}, since=0)
    assert report([path, other], ["code"]).total[0] == 19
    with pytest.raises(Unreadable, match="no such file"):
        report([path, str(tmp_path / "none.db")], ["code"])
