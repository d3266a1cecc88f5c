"""Server-sent events to the caller, sent as the provider's come: those of one read together.

The engine decides when a stream begins and why it ends. A caller that does not read slows the provider down
(backpressure): at most 64 KiB wait in the library's buffer, besides the kernels' own buffers.
"""

import asyncio
import contextlib
from typing import Final

import msgspec
from aiohttp import HttpVersion11, hdrs, web

from sidecar.core.errors import SidecarError
from sidecar.core.ports import WRITTEN
from sidecar.engine.limiter.trace import Trace
from sidecar.http.request import Arrival
from sidecar.http.responses.envelope import COMMON, PROVIDER, REQUEST_ID
from sidecar.http.responses.openai_errors import shape

DONE: Final = b"[DONE]"
_SIGN_OF_LIFE: Final = b": keep-alive\n\n"
_STEP: Final = 256 * 1024
"""Bytes of an event that is written at a time."""
FAREWELL_SECONDS: Final = 5.0
"""Time that a slow caller has to take the last event."""

HEADERS: Final = {
    **COMMON,
    hdrs.CONTENT_TYPE: "text/event-stream; charset=utf-8",
    "X-Accel-Buffering": "no",  # nginx would hold small events back
}


class _Response(web.StreamResponse):
    _send_headers_immediately = False  # they go out with the first event, which is here already


class EventStream:
    """A streamed response, which begins with the first event sent."""

    def __init__(self, request: Arrival, trace: Trace, *, last: bool) -> None:
        self._request = request
        self._trace = trace
        self._last = last
        self._stuck = False
        self._chunked = request.version == HttpVersion11
        self.response: web.StreamResponse | None = None
        """The response begun; None while an ordinary response is still possible."""

    async def send(self, data: bytes) -> None:
        """Send one event, several that are written, or a comment for blank data, by which proxies stay open.

        Raises `ConnectionError` once the caller has left.
        """
        self._stuck = True
        if len(data) > _STEP:
            await self._send_large(data)
        elif self.response is None:
            self.response = await self._begin()
            await self.response.write(_event(data))
        elif self._chunked:
            await self._write(_event(data))
        else:
            await self.response.write(_event(data))
        self._stuck = False

    async def _send_large(self, data: bytes) -> None:
        """Send an event in steps, each written once: a transport copies what is left of a write."""
        if self.response is None:
            self.response = await self._begin()
        if b"\n" in data or b"\r" in data:
            await self.response.write(_event(data))
            return
        await self.response.write(b"data: ")
        view = memoryview(data)
        for at in range(0, len(data), _STEP):
            await self.response.write(view[at : at + _STEP])
            await asyncio.sleep(0)
        await self.response.write(b"\n\n")

    async def _write(self, event: bytes) -> None:
        """Write an event as a chunk, as the library does in a third of the steps."""
        request = self._request
        if request.transport is None or request.transport.is_closing():
            raise ConnectionResetError
        request.transport.write(b"%x\r\n%s\r\n" % (len(event), event))
        if request.protocol.writing_paused:
            await request.writer.drain()

    async def end(self, response: web.StreamResponse, failure: SidecarError | None) -> None:
        """Send the last event, [DONE] or `failure`. Raises `ConnectionError` if the caller does not take it."""
        last = DONE if failure is None else msgspec.json.encode(shape(failure))
        if not self._stuck:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FAREWELL_SECONDS):
                    await response.write_eof(_event(last))
                    return
        # Events that the caller has not read fill the connection; without the abort they would stay in memory.
        if self._request.transport is not None:
            self._request.transport.abort()
        raise ConnectionResetError

    async def _begin(self) -> web.StreamResponse:
        response = _Response(headers=HEADERS)
        response.headers[REQUEST_ID] = self._request.request_id
        if self._trace.provider:
            response.headers[PROVIDER] = self._trace.provider
        if self._last:
            response.force_close()
        await response.prepare(self._request)
        return response


def _event(data: bytes) -> bytes:
    if data.startswith(WRITTEN):
        return data
    if not data:
        return _SIGN_OF_LIFE
    if b"\n" in data or b"\r" in data:
        lines = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        return b"".join(b"data: %s\n" % line for line in lines) + b"\n"
    return b"data: %s\n\n" % data
