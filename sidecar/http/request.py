"""A request as it arrived: when, under which id, from whom, and by when it must be answered.

Nothing of a body is read here.
"""

import re
import secrets
from typing import Any, Final

from aiohttp import hdrs, web

from sidecar.http.responses.envelope import REQUEST_ID

_SANE_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_SECONDS: Final = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?")


class Arrival(web.BaseRequest):
    """The library's request, with what our doors ask of it."""

    arrived: float
    """When the connection was accepted, or on a kept one the first byte came: a point on the monotonic clock."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        asked = self.headers.get(REQUEST_ID, "")
        self.request_id = asked if _SANE_ID.fullmatch(asked) else secrets.token_hex(8)
        """The caller's id for this request where it sent a sane one, else one of ours."""

    @property
    def origin(self) -> str:
        """The caller's address, without its port."""
        return self.remote or ""

    @property
    def fresh(self) -> bool:
        """Whether the caller will not have a kept answer."""
        return "no-cache" in self.headers.get(hdrs.CACHE_CONTROL, "").lower()

    def deadline(self, timeout: float) -> float:
        """By when it must be answered, on the monotonic clock: `timeout` seconds from arrival, or sooner.

        A caller may shorten the time with X-Request-Timeout or ?deadline=, both in seconds from arrival, and
        never lengthen it; what makes no sense there is ignored.
        """
        return self.arrived + min(timeout, *self._asked_seconds(timeout))

    def _asked_seconds(self, timeout: float) -> tuple[float, float]:
        header = self.headers.get("X-Request-Timeout")
        query = self.query.get("deadline") if self.query_string else None
        return _seconds(header, timeout), _seconds(query, timeout)


def _seconds(text: str | None, otherwise: float) -> float:
    if text is None or not _SECONDS.fullmatch(text.strip()):
        return otherwise
    return float(text) or otherwise
