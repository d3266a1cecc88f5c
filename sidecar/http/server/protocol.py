"""One connection: arrival times, the time to send headers, protocol errors in the envelope, and a gentle close.

This adds to the library's protocol; the meaning of a request is for app.py and the routes. Written out because no
setting of aiohttp's does it: half-sent headers are held for ever, and its own protocol errors are plain text.
"""

import asyncio
import math
import time
from collections.abc import Callable
from typing import Any, Final

from aiohttp import StreamReader, web
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.web_protocol import _ErrInfo

from sidecar.core import events
from sidecar.core.errors import BadHTTP, InternalError, SidecarError, SlowRequest
from sidecar.http.request import Arrival
from sidecar.http.responses.envelope import REQUEST_ID
from sidecar.http.router import Refuse
from sidecar.http.server.one_task import OneTask
from sidecar.http.server.unparsable import LINE_SEEN, path_of, refusal_of, too_long

HEADER_SECONDS: Final = 10.0
"""The time a connection has to send complete headers (CONTRACT, "POST /ai")."""
IDLE_SECONDS: Final = 75.0
"""Longest idle time of a reused connection; longer than that of proxies in front of the sidecar."""
LINGER_SECONDS: Final = 10.0
"""Time in which bytes of a refused caller are discarded, so that the caller reads its answer and no reset."""
HALF_CLOSE_SECONDS: Final = 0.2
"""Time from the last byte of a request in which the end of the caller's sending side is a half-close: the caller wants
the answer. A later end is a caller who left. TCP tells the two apart only by an answer that is sent."""
READ_BUFFER: Final = 64 * 1024
"""Bytes; twice as much of a body waits in memory before the sender is paused."""

Refusal = Callable[[str], Refuse]
"""Returns, for a path, the builder of its error responses."""


class Protocol(OneTask):
    """The library's connection, with bounds of its own."""

    __slots__ = (
        "_arrived",
        "_begun",
        "_busy",
        "_discarding",
        "_first_request",
        "_half_close_seconds",
        "_half_closed",
        "_header_seconds",
        "_header_timer",
        "_last",
        "_last_body",
        "_line",
        "_linger_seconds",
        "_lingering",
        "_over",
        "_received_at",
        "_refusal",
    )

    def __init__(
        self,
        manager: web.Server,
        *,
        over: Callable[["Protocol"], None],
        header_seconds: float,
        linger_seconds: float,
        refusal: Refusal,
        half_close_seconds: float = HALF_CLOSE_SECONDS,
        **options: Any,
    ) -> None:
        super().__init__(manager, **options)
        self._over = over
        """Called once no answer is due here any more."""
        self._refusal = refusal
        self._line = b""
        """First bytes of the last request whose headers began to arrive."""
        self._header_seconds = header_seconds
        self._linger_seconds = linger_seconds
        self._half_close_seconds = half_close_seconds
        self._received_at = -math.inf
        """Point on the loop's clock at which the last bytes came."""
        self._header_timer: asyncio.TimerHandle | None = None
        self._arrived: float | None = None
        """Arrival time of the next request's first byte; None before it."""
        self._begun = False
        """True once a part of the next request's headers has arrived."""
        self._busy = False
        """True while a request is being answered."""
        self._last = False
        """True if the connection ends after the requests that have arrived already."""
        self._last_body: StreamReader = EMPTY_PAYLOAD
        """The body of the last request whose headers were complete, while it arrives."""
        self._discarding = False
        """True if further bytes are discarded unread."""
        self._half_closed = False
        """True once the caller has ended its sending side."""
        self._lingering: asyncio.Future[None] | None = None
        self._first_request: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._arrived = time.monotonic()
        self._await_headers()
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._headers_over()
        super().connection_lost(exc)
        self._over(self)

    def data_received(self, data: bytes) -> None:
        if self._parser is None and data:
            self._discarding = True  # behind a last request
        if self._discarding or self._parser is None:
            return
        self._received_at = self._loop.time()
        known, previous = self._request_count, self._last_body
        # After the last body is complete, bytes belong to the next request; line ends between two requests are ignored.
        header = previous.is_eof() and bool(data.lstrip(b"\r\n"))
        if header:
            self._line = (self._line + data if self._begun else data.lstrip(b"\r\n"))[:LINE_SEEN]
            if not self._begun and self._idle:
                self._begin()
        super().data_received(data)
        if self._request_count == known:
            if header and not self._begun:
                self._begun = True
                if self._idle and self._header_timer is None:
                    self._await_headers()
            return
        self._headers_over()
        message, body = self._messages[-1]
        self._last_body = EMPTY_PAYLOAD if body.is_eof() else body
        if isinstance(message, _ErrInfo):
            self._discarding = True
            if not previous.is_eof():
                # A reader of that body would wait for bytes that cannot be parsed any more.
                previous.set_exception(BadHTTP("The request's body is not valid HTTP."))

    def eof_received(self) -> bool:  # type: ignore[override]
        """Return True, not the library's None, to answer complete requests first; then the connection closes."""
        self._half_closed = True
        current = self._current_request
        if self.in_steps:  # its caller reads on, and what is left would be cut off
            self._last = True
            return True
        if current is not None and current.writer.output_size:
            return False  # who half-closes does so before the first byte of the answer
        answers = not self._idle and self._last_body.is_eof() and self._lingering is None
        if not answers or self._loop.time() - self._received_at >= self._half_close_seconds:
            return False
        self._last = True
        return True

    @property
    def _idle(self) -> bool:
        return not self._busy and not self._messages

    async def first_request(self) -> None:
        """Return once the first request is here, or its time to arrive is over."""
        if not self._request_count and self._header_timer is not None:
            self._first_request = self._loop.create_future()
            await self._first_request

    def disable_keep_alive(self) -> None:
        """Close after the answer to the current or first request; an idle connection after an answer closes at once."""
        self._last = True
        reused = self._request_count > 0 and self._header_timer is None
        if reused and self._idle and self._lingering is None:
            self.force_close()

    def conclude(self, seconds: float) -> None:
        """Answer the requests that have arrived, or else a first one within `seconds`; then close."""
        self.disable_keep_alive()
        if self._header_timer is not None:
            when = min(self._header_timer.when(), self._loop.time() + seconds)
            self._header_timer.cancel()
            self._header_timer = self._loop.call_at(when, self._headers_late)

    def _close_after(self, response: web.StreamResponse) -> None:
        # Pipelined requests that arrived behind this one are answered too.
        if self._last and not self._messages:
            response.force_close()

    def _begin(self) -> None:
        if self._arrived is None:
            self._arrived = time.monotonic()
            # From here on the time limit for headers applies, not the one for idle connections.
            self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout

    def _await_headers(self) -> None:
        self._header_timer = self._loop.call_later(self._header_seconds, self._headers_late)

    def _end_first_request(self) -> None:
        if self._first_request is not None and not self._first_request.done():
            self._first_request.set_result(None)

    def _headers_over(self) -> None:
        self._begun = False
        self._end_first_request()
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _headers_late(self) -> None:
        self._header_timer = None
        self._end_first_request()
        waiter = self._waiter
        if not self._begun or waiter is None or waiter.done():
            self.force_close()
            return
        self._discarding = True
        self._messages.append((_ErrInfo(408, SlowRequest(), ""), EMPTY_PAYLOAD))
        waiter.set_result(None)

    def arrival(self) -> float:
        """Return the arrival time of the current request: its first byte, or now if it waited behind another."""
        self._busy = True
        arrived, self._arrived = self._arrived, None
        return time.monotonic() if arrived is None else arrived

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        self._close_after(resp)
        response, reset = await super().finish_response(request, resp, start_time)
        self._busy = False
        if reset:
            return response, reset
        self._close_after(response)  # `_last` may have been set meanwhile
        if response.keep_alive is False:
            if self._discarding or self._messages or not request.content.is_eof():
                await self._linger(request.content)
        elif self._begun and self._idle and self._header_timer is None:
            # The next request began to arrive behind this one: it is now the current one.
            self._begin()
            self._await_headers()
        return response, reset

    async def _linger(self, body: StreamReader) -> None:
        """Half-close, then discard further bytes until the caller has closed.

        Closing with bytes unread would reset the connection, and the reset can overtake the answer.
        """
        self._discarding = True
        transport = self.transport
        if transport is None or self._close or self._half_closed:
            return
        if transport.can_write_eof():
            transport.write_eof()
        if body.exception() is None:
            body.read_nowait()
        transport.resume_reading()
        self._over(self)
        self._lingering = self._loop.create_future()
        timer = self._loop.call_later(self._linger_seconds, self._lingered)
        try:
            await self._lingering
        finally:
            timer.cancel()
            self._lingering = None

    def _lingered(self) -> None:
        if self._lingering is not None and not self._lingering.done():
            self._lingering.set_result(None)

    def close(self) -> None:
        super().close()
        self._lingered()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - the library's message quotes the request
    ) -> web.StreamResponse:
        """Answer errors of the library's parser, and those that escaped the routes, in the shape of the path."""
        if request.writer.output_size > 0 or request.transport is None:
            raise ConnectionResetError
        request_id = request.request_id if isinstance(request, Arrival) else ""
        if status >= 500:
            error: SidecarError = InternalError()
            if exc is not None:
                events.fault("internal", exc, request_id=request_id)
        else:
            error = exc if isinstance(exc, SidecarError) else refusal_of(exc, self._line)
            events.info("refused", request_id=request_id, door="http", code=error.code)
        response = self._refusal(path_of(self._line) if request.method == "UNKNOWN" else request.path)(error)
        if too_long(exc):
            response.set_status(431)
        response.headers[REQUEST_ID] = request_id
        response.force_close()
        return response

    def log_exception(self, *_args: Any, **info: Any) -> None:
        """Report a fault by its type and places: the library's message would quote the request."""
        exc = info.get("exc_info")
        if isinstance(exc, BaseException):
            events.fault("internal", exc)
