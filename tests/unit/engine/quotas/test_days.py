"""Days of a time zone."""

import datetime as dt
from zoneinfo import ZoneInfo

import pytest

from sidecar.engine.quotas.days import Days


class Wall:
    """A clock on the wall that the test sets."""

    def __init__(self, text: str, zone: str) -> None:
        self.now = dt.datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("zone", "at", "day", "left"),
    [
        ("UTC", "2027-01-31 23:59:50", "2027-01-31", 10),
        ("Asia/Tokyo", "2027-01-31 00:00:00", "2027-01-31", 86_400),
        ("Europe/Berlin", "2027-03-28 00:00:00", "2027-03-28", 23 * 3600),
        ("Europe/Berlin", "2027-10-31 00:00:00", "2027-10-31", 25 * 3600),
    ],
)
def test_a_day_ends_at_midnight_of_its_zone(zone: str, at: str, day: str, left: int) -> None:
    """Also where summer time begins or ends; from that second on it is the next day."""
    wall = Wall(at, zone)
    days = Days(zone, wall=wall)
    assert days.now() == (day, left)
    wall.now += left
    assert days.now()[0] > day
    wall.now -= left
    assert days.now() == (day, left), "a clock that is set back"
