"""Days of a time zone: the name of the present one, and the seconds until its end."""

import datetime as dt
import time
from collections.abc import Callable


class Days:
    """Days as the clock on the wall has them; `zone` is a name of the time zone database."""

    def __init__(self, zone: str = "UTC", *, wall: Callable[[], float] = time.time) -> None:
        self._wall = wall
        self._begin = self._end = 0.0
        self._name = ""
        self._zone: dt.tzinfo = dt.UTC
        if zone != "UTC":
            from zoneinfo import ZoneInfo  # noqa: PLC0415 - late: few files name a zone

            self._zone = ZoneInfo(zone)

    def now(self) -> tuple[str, float]:
        """Return the day, as 2027-01-31, and the seconds until the next one begins."""
        now = self._wall()
        if not self._begin <= now < self._end:
            self._turn(now)
        return self._name, self._end - now

    def _turn(self, now: float) -> None:
        day = dt.datetime.fromtimestamp(now, self._zone).date()
        self._name = day.isoformat()
        self._begin, self._end = (
            dt.datetime.combine(date, dt.time(), self._zone).timestamp() for date in (day, day + dt.timedelta(days=1))
        )
