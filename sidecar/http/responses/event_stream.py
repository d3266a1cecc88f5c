"""The caller's end of a stream: server-sent events on his connection, as the provider's come.

When a stream begins and why it ends, the engine decides. A caller who does not read holds the provider back: what
waits for him is what the library buffers, 64 KiB, and what the kernels do.
"""

import asyncio
import contextlib
from typing import Final

import msgspec
from aiohttp import hdrs, web

from sidecar.core.errors import SidecarError
from sidecar.http.request import Arrival
from sidecar.http.responses.envelope import COMMON, REQUEST_ID
from sidecar.http.responses.openai_errors import shape

DONE: Final = b"[DONE]"
FAREWELL_SECONDS: Final = 5.0
"""How long a slow caller has to take the last event."""

_HEADERS: Final = {
    **COMMON,
    hdrs.CONTENT_TYPE: "text/event-stream; charset=utf-8",
    "X-Accel-Buffering": "no",  # nginx would hold small events back
}


class _Response(web.StreamResponse):
    _send_headers_immediately = False  # but with the first event, which is here already


class EventStream:
    """One response of events, which begins with the first one sent."""

    def __init__(self, request: Arrival, *, last: bool) -> None:
        self._request = request
        self._last = last
        self._stuck = False
        self.response: web.StreamResponse | None = None
        """What was begun; None while an ordinary response can still be given."""

    async def send(self, data: bytes) -> None:
        """Send one event. Raises `ConnectionError` once the caller has left."""
        self._stuck = True
        if self.response is None:
            self.response = await self._begin()
        await self.response.write(_event(data))
        self._stuck = False

    async def end(self, response: web.StreamResponse, failure: SidecarError | None) -> None:
        """Say how it ended. Raises `ConnectionError` where nobody listens any more."""
        last = DONE if failure is None else msgspec.json.encode(shape(failure))
        if not self._stuck:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FAREWELL_SECONDS):
                    await response.write(_event(last))
                    await response.write_eof()
                    return
        # What he did not take fills his connection, and would be held for as long as he likes.
        if self._request.transport is not None:
            self._request.transport.abort()
        raise ConnectionResetError

    async def _begin(self) -> web.StreamResponse:
        response = _Response(headers=_HEADERS)
        response.headers[REQUEST_ID] = self._request.request_id
        if self._last:
            response.force_close()
        await response.prepare(self._request)
        return response


def _event(data: bytes) -> bytes:
    if b"\n" in data or b"\r" in data:
        lines = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        return b"".join(b"data: %s\n" % line for line in lines) + b"\n"
    return b"data: %s\n\n" % data
