"""Request metadata: time of arrival, id, origin and deadline. The body is read in body.py."""

import re
import secrets
import time
from collections.abc import Iterator
from typing import Any, Final

from aiohttp import HttpVersion, HttpVersion10, HttpVersion11, StreamReader, hdrs, web
from aiohttp.http import RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from sidecar.core.reach import Names
from sidecar.core.trace_context import TRACEPARENT, TRACESTATE, Passing, TraceContext, trace_context
from sidecar.core.tracing import Span
from sidecar.http.responses.envelope import REQUEST_ID

_VERSIONS: Final = frozenset({HttpVersion10, HttpVersion11})
_NO_REQUEST: Final = "UNKNOWN"
"""The library's method in the place of a request that cannot be parsed."""
_SANE_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_SECONDS: Final = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?")


def _random_ids() -> Iterator[str]:
    """Yield ids of 16 random hexadecimal digits; the system is asked for the bytes of many at once."""
    while True:
        digits = secrets.token_hex(8 * 256)
        yield from (digits[at : at + 16] for at in range(0, len(digits), 16))


_ids: Final = _random_ids()

_NO_HEADERS: Final[CIMultiDictProxy[str]] = CIMultiDictProxy(CIMultiDict())


def _let_go(*, should_close: bool) -> RawRequestMessage:
    """Return what stands for the parsed head of a request that was read: all that an answer still needs of it."""
    return RawRequestMessage("", "", HttpVersion11, _NO_HEADERS, (), should_close, None, False, False, URL())


_LAST: Final = _let_go(should_close=True)
_ONE_OF_MANY: Final = _let_go(should_close=False)


class Arrival(web.BaseRequest):
    """The library's request, with the metadata that the routes need."""

    arrived: float
    """Time on the monotonic clock: the connection's accept, or on a reused one the request's first byte."""
    token: str = ""
    """Name of the caller's token, once the guard has found one that has a name."""
    user: str = ""
    """Name of the user at that token, once the body is read where users have limits: a refusal is that user's."""
    providers: Names | None = None
    """Names of the only providers that the token allows; None for all."""
    background: bool = False
    """Class of the users of that token."""
    fresh: bool = False
    """The caller's demand for a new answer, not one from the cache; known once the body is read."""

    def __init__(self, message: RawRequestMessage, *args: Any, **kwargs: Any) -> None:
        super().__init__(message, *args, **kwargs)
        self.served_version = message.version in _VERSIONS and message.method != _NO_REQUEST
        """True for a request of HTTP/1.1 or HTTP/1.0."""
        proposed = self.headers.get(REQUEST_ID, "")
        self.request_id = proposed if _SANE_ID.fullmatch(proposed) else next(_ids)
        """The id that the caller sent, if it is a sane one, else a random one."""
        self.trace = self._trace() if TRACEPARENT in self.headers else None
        """The caller's place in a trace; None without a valid one."""
        self.span: Span | None = None if self.trace is None else Passing(self.trace)
        """The request's span; None where the request belongs to no trace."""

    def _trace(self) -> TraceContext | None:
        return trace_context(self.headers.getall(TRACEPARENT), self.headers.getall(TRACESTATE, []))

    @property
    def content(self) -> StreamReader:
        """Reader of the body."""
        return self._payload

    def body_read(self) -> None:
        """Let go of what nobody reads once the body is: its reader, and the headers, two kilobytes a waiting caller."""
        if self._payload.is_eof() and self._payload.exception() is None:
            self._payload = EMPTY_PAYLOAD
        if (control := self._headers.get(hdrs.CACHE_CONTROL)) is not None:
            self.fresh = "no-cache" in control.lower()
        self._cache["headers"] = self._headers = _NO_HEADERS
        self._message = _LAST if self._message.should_close else _ONE_OF_MANY

    @property
    def version(self) -> HttpVersion:
        """Version of the status line: the caller's, or HTTP/1.1 where that is not served."""
        return super().version if self.served_version else HttpVersion11

    @property
    def age(self) -> float:
        """The seconds since the arrival."""
        return time.monotonic() - self.arrived

    @property
    def origin(self) -> str:
        """The caller's address, without its port."""
        return self.remote or ""

    def deadline(self, timeout: float) -> float:
        """Return the deadline on the monotonic clock: `timeout` seconds from arrival, or sooner.

        The caller may shorten the time with X-Request-Timeout or ?deadline=, both in seconds from arrival. Longer
        and malformed values are ignored.
        """
        return self.arrived + min(timeout, *self._requested_seconds(timeout))

    def _requested_seconds(self, timeout: float) -> tuple[float, float]:
        header = self.headers.get("X-Request-Timeout")
        query = self.query.get("deadline") if self.query_string else None
        return _seconds(header, timeout), _seconds(query, timeout)


def _seconds(text: str | None, default: float) -> float:
    if text is None or not _SECONDS.fullmatch(text.strip()):
        return default
    return float(text) or default
