"""Transport of httpx2 over the shared aiohttp session, in place of the SDK's own.

httpx2's transport reads bytes left over from one answer as the next answer, waits for ever for a peer that speaks no
HTTP, and leaves open whether a connection was used before. The SDK's aiohttp transport reports a connection that
closed without an answer as one that was never opened.
"""

import ssl
from collections.abc import AsyncIterator
from typing import Final

import httpx2  # noqa: TID251 - the SDK's HTTP library
from yarl import URL

from sidecar.core.errors import UpstreamFailure
from sidecar.provider.aiohttp.session import Session, SessionReply
from sidecar.provider.base import read_whole
from sidecar.provider.endpoint import Endpoint
from sidecar.provider.proxy import Proxy

_OF_THE_BODY: Final = frozenset({b"content-encoding", b"content-length", b"transfer-encoding"})
_DROPPED: Final = _OF_THE_BODY | {b"location"}
"""Headers of a refusal that httpx2 would act on: its body is unpacked here, and its redirect is not followed."""


class ConnectionFailed(httpx2.TransportError):
    """A failure on its way through the SDK, which wraps errors of httpx2 in its own."""

    def __init__(self, failure: UpstreamFailure) -> None:
        super().__init__(str(failure))
        self.failure = failure


class SessionTransport(httpx2.AsyncBaseTransport):
    """Sends requests of httpx2 on the session's connections."""

    def __init__(self, where: Endpoint, proxy: Proxy | None, tls: ssl.SSLContext | None) -> None:
        self._session = Session(where, proxy, tls)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        body = await request.aread()
        try:
            reply = await self._session.post(URL(str(request.url), encoded=True), body, request.headers)
            if not 200 <= reply.status < 300:
                return await _refusal(reply)
        except UpstreamFailure as exc:
            raise ConnectionFailed(exc) from exc
        return httpx2.Response(reply.status, headers=list(reply.raw_headers), stream=_Stream(reply))

    async def aclose(self) -> None:
        await self._session.aclose()


async def _refusal(reply: SessionReply) -> httpx2.Response:
    """Return a refusal read to its bound, since the SDK reads refusals whole, and unpacks them."""
    answer = await read_whole(reply)
    headers = [(name, value) for name, value in reply.raw_headers if name.lower() not in _DROPPED]
    # The SDK decodes by the charset, and Python has charsets that are no text.
    plain = [(name, value.partition(b";")[0] if name.lower() == b"content-type" else value) for name, value in headers]
    return httpx2.Response(answer.status, headers=plain, content=answer.body)


class _Stream(httpx2.AsyncByteStream):
    def __init__(self, reply: SessionReply) -> None:
        self._reply = reply

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while chunk := await self._reply.read():
            yield chunk

    async def aclose(self) -> None:
        await self._reply.aclose()
