"""Reading of a body: declared as JSON, within bytes that are reserved first, by a deadline.

The same guards for every route that reads one. The schemas parse it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from io import BytesIO
from types import TracebackType
from typing import Final, Generic, TypeVar

from aiohttp import StreamReader, hdrs, web

from sidecar.core.errors import BadHTTP, DeadlineExceeded, SlowRequest, TooLarge, UnsupportedMediaType
from sidecar.engine.admission import Place
from sidecar.engine.drain import Drain
from sidecar.engine.service import Service
from sidecar.http.request import Arrival

SILENCE_SECONDS: Final = 10.0
"""Longest pause within a body: an idle caller holds a connection no longer than one that sends no headers."""
STEP: Final = 64 * 1024
"""Bytes reserved at a time for a body of undeclared length."""

_UTF8: Final = frozenset({"", "utf-8", "utf8"})

Parsed = TypeVar("Parsed")


class Received(Generic[Parsed]):
    """A request whose body is there and parsed."""

    __slots__ = ("deadline", "parsed", "place")

    def __init__(self, parsed: Parsed, place: Place, deadline: float) -> None:
        self.parsed = parsed
        self.place = place
        """The place that the request holds, with the bytes of the body, or more where it takes more once parsed."""
        self.deadline = deadline
        """Point on the monotonic clock by which the caller must have the answer."""


class received(Generic[Parsed]):  # noqa: N801 - used as a function, and cheaper than a generator
    """Hold a place for the request, and give what `parse` makes of its body of at most `limit` bytes.

    `parse` returns its result and the bytes of memory that it takes, which the place then has too. `bulk` and
    `even_draining` are those of `Admission.admit`. Raises what that, `check_type`, `read_body` and `parse` raise, and
    `DeadlineExceeded` for a request that was late itself: the engine's estimate of the wait would call that overloaded.
    """

    __slots__ = ("_bulk", "_even_draining", "_limit", "_parse", "_place", "_request", "_service", "_timeout")

    def __init__(
        self,
        request: Arrival,
        service: Service,
        parse: Callable[[bytes], Awaitable[tuple[Parsed, int]]],
        *,
        limit: int,
        timeout: float,
        bulk: bool = False,
        even_draining: bool = False,
    ) -> None:
        self._request = request
        self._service = service
        self._parse = parse
        self._limit = limit
        self._timeout = timeout
        """Seconds from the request's arrival."""
        self._bulk = bulk
        self._even_draining = even_draining

    async def __aenter__(self) -> Received[Parsed]:
        request, admission = self._request, self._service.admission
        check_type(request)
        pending = not request.content.is_eof()
        size = _to_reserve(request, self._limit)
        self._place = admission.admit(size, pending=pending, bulk=self._bulk, even_draining=self._even_draining)
        try:
            return await self._read(self._place)
        except BaseException:
            admission.release(self._place)
            raise

    async def _read(self, place: Place) -> Received[Parsed]:
        request, service = self._request, self._service
        deadline = request.deadline(self._timeout)
        # No name is bound to the raw body, so that its memory is free while the engine works.
        parsed, held = await self._parse(
            await read_body(request, service.drain, place, limit=self._limit, deadline=deadline)
        )
        place.resize(max(held, place.size))
        if service.clock() >= deadline:
            raise DeadlineExceeded
        return Received(parsed, place, deadline)

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._service.admission.release(self._place)


def check_type(request: web.BaseRequest) -> None:
    """Raise `UnsupportedMediaType` unless the body is declared as JSON in UTF-8, uncompressed."""
    header = request.headers.get(hdrs.CONTENT_TYPE, "")
    if header != "application/json":  # the common case costs nothing
        essence, _, parameters = header.partition(";")
        if essence.strip().lower() != "application/json":
            raise UnsupportedMediaType
        if _charset(parameters) not in _UTF8:
            raise UnsupportedMediaType("The request must be in UTF-8.")
    # A small compressed body can decompress to gigabytes, and no known caller compresses.
    if request.headers.get(hdrs.CONTENT_ENCODING, "identity").strip().lower() != "identity":
        raise UnsupportedMediaType("The request must not be compressed.")


def _charset(parameters: str) -> str:
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            return value.strip().strip('"').lower()
    return ""


def _to_reserve(request: web.BaseRequest, limit: int) -> int:
    """Return the bytes to reserve before the body is read; raise `TooLarge` for a declared length over `limit`."""
    try:
        declared = request.content_length
    except ValueError as exc:
        raise BadHTTP from exc
    if declared is not None:
        if declared > limit:
            raise _too_large(limit)
        return declared
    return min(STEP, limit) if request.body_exists else 0


async def read_body(request: Arrival, drain: Drain, place: Place, *, limit: int, deadline: float) -> bytes:
    """Return the body, of at most `limit` bytes; `place` then has its size reserved.

    Raises `TooLarge`, `Overloaded`, `BadHTTP`, `SlowRequest` at `deadline`, or `ShuttingDown` once the time to drain
    is over.
    """
    content = request.content
    if content.is_eof():
        body = content.read_nowait()
        _hold(place, len(body), limit)
    else:
        try:
            with drain.within(deadline):
                await _invite(request)
                body = await _receive(content, place, limit)
        except DeadlineExceeded as exc:
            raise SlowRequest from exc
    place.arrived()
    place.resize(len(body))
    request.body_read()
    return body


async def _invite(request: web.BaseRequest) -> None:
    # Sent only now that the body will be read: a caller that was refused before need not send the body.
    if request.version >= (1, 1) and request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # an interim response does not count: the final one is still to be sent


async def _receive(content: StreamReader, place: Place, limit: int) -> bytes:
    part = await _next(content)
    _hold(place, len(part), limit)
    if content.at_eof():
        return part
    # One growing buffer, which becomes the body without a copy. In a list, a body in parts of two bytes would cost
    # twenty times its size.
    body, size = BytesIO(), 0
    while part:
        size += body.write(part)
        part = await _next(content)
        _hold(place, size + len(part), limit)
    return body.getvalue()


async def _next(content: StreamReader) -> bytes:
    async with asyncio.timeout(SILENCE_SECONDS):
        return await content.readany()


def _hold(place: Place, size: int, limit: int) -> None:
    if size > limit:
        raise _too_large(limit)
    if size > place.size:
        place.resize(min(limit, -(-size // STEP) * STEP))


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The request is larger than {limit} bytes.")
