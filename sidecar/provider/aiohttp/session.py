"""One shared aiohttp session to one endpoint: proxy, TLS, bounds, and the table aiohttp's errors → ours.

The client beside this file posts with it, and so does the transport under the official SDK.
"""

import ssl
import time
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, Final

import aiohttp
from yarl import URL

from sidecar.core.errors import UpstreamFailure
from sidecar.provider.aiohttp.large_body import written
from sidecar.provider.aiohttp.response_handler import body_failure, joining
from sidecar.provider.aiohttp.reused import LARGEST, Heads, HttpProcessingError, ReusedReply, ReusingConnector, exchange
from sidecar.provider.codec import Body
from sidecar.provider.connection_errors import CONNECT_SECONDS, cut, no_answer, not_connected, not_http, proxy_refused
from sidecar.provider.endpoint import Endpoint
from sidecar.provider.proxy import Proxy
from sidecar.provider.stalls import STALLED_SECONDS, Stalls

_IDLE_SECONDS: Final = 30.0
_HEADER_BYTES: Final = 32 * 2**10
"""Bytes of a header line, at most; a gateway's security policy can be longer than aiohttp's 8 KiB."""


class Session:
    """Posts to the provider on kept connections. One attempt a call; no retries, redirects or cookies."""

    def __init__(
        self,
        where: Endpoint,
        proxy: Proxy | None,
        tls: ssl.SSLContext | None,
        *,
        connect_seconds: float = CONNECT_SECONDS,
    ) -> None:
        self._host = where.authority
        self._connect_seconds = connect_seconds
        self._stalls = Stalls()
        self._proxy = proxy
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None
        self._connector: _Connector | None = None
        self._heads = Heads()
        self._own_headers: Mapping[str, str] = {}
        self._through: dict[str, Any] = {}
        if proxy:
            self._through["proxy"] = URL(proxy.url)
        if proxy and proxy.authorization:
            credentials = {"Proxy-Authorization": proxy.authorization}
            # aiohttp sends proxy_headers only to open a tunnel; a call without one carries the credentials itself.
            if where.secure:
                self._through["proxy_headers"] = credentials
            else:
                self._own_headers = credentials

    async def post_reusing(
        self, url: URL, target: str, body: Body, headers: Mapping[str, str]
    ) -> "SessionReply | ReusedReply":
        """Return the reply to `body` as `post` does, on a kept connection past the library's client if there is one.

        `target` is the path and query of `url`. But for Host and Content-Length, `headers` are all there are.
        """
        if self._connector is not None and not self._proxy and type(body) is bytes and len(body) <= LARGEST:
            head = self._heads.head(self._host, target, headers)
            if head and (connection := await self._connector.idle()) is not None:
                return await self._again(connection, b"%s%d\r\n\r\n%s" % (head, len(body), body))
        return await self.post(url, body, headers)

    async def _again(self, connection: aiohttp.connector.Connection, request: bytes) -> ReusedReply:
        """Return the reply to a request on a kept connection."""
        sent = _Sent()
        sent.at = time.monotonic()
        try:
            return await exchange(connection, request, header_bytes=_HEADER_BYTES)
        except HttpProcessingError as exc:
            raise not_http(self._host) from exc
        except (aiohttp.ClientError, OSError) as exc:
            raise self._failed(exc, sent) from exc

    async def post(self, url: URL, body: Body, headers: Mapping[str, str]) -> "SessionReply":
        """Return the reply to `body`, whose own body is still to come. Raises `UpstreamFailure`."""
        if self._session is None:  # a session belongs to the running loop
            self._session = self._open()
        while True:
            sent, stalled = _Sent(), self._stalls.seconds
            _SENT.set(sent)
            try:
                response = await self._session.post(
                    url,
                    data=written(body),
                    headers={**headers, **self._own_headers},
                    allow_redirects=False,
                    **self._through,
                )
            except aiohttp.ConnectionTimeoutError as exc:
                # Nothing was sent, and the caller's deadline ends the attempts.
                if self._stalls.seconds - stalled < STALLED_SECONDS:
                    raise self._failed(exc, sent) from exc
            except (aiohttp.ClientError, OSError) as exc:
                raise self._failed(exc, sent) from exc
            else:
                return SessionReply(response)

    async def aclose(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        # No limit here: the gate alone decides how many calls are in flight.
        self._connector = _Connector(self._stalls, limit=0, ssl=self._tls or True, keepalive_timeout=_IDLE_SECONDS)
        return aiohttp.ClientSession(
            connector=self._connector,
            request_class=_Request,
            timeout=aiohttp.ClientTimeout(total=None, connect=self._connect_seconds),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            max_line_size=_HEADER_BYTES,
            max_field_size=_HEADER_BYTES,
        )

    def _failed(self, exc: Exception, sent: "_Sent") -> UpstreamFailure:
        if isinstance(exc, aiohttp.ClientHttpProxyError) and self._proxy:
            return proxy_refused(exc.status, self._proxy.name)
        if isinstance(exc, aiohttp.ClientResponseError):
            return not_http(self._host)
        if isinstance(exc, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError) or sent.at is None:
            if self._proxy and not isinstance(exc, aiohttp.ClientSSLError):
                return not_connected(exc, self._proxy.name, proxy=True)
            return not_connected(exc, self._host)
        if isinstance(exc, aiohttp.ServerDisconnectedError) and not isinstance(exc.message, str):
            return cut()  # after a part of the head
        return no_answer(self._host, reused=sent.reused, waited=time.monotonic() - sent.at)


class SessionReply:
    """Port `Reply` over a response of the session."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers

    @property
    def raw_headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """Headers as they came, those that came twice included."""
        return self._response.raw_headers

    def arrived(self) -> bytes | None:
        """Return the body if all of it is here."""
        content = self._response.content
        return content.read_nowait() if content.is_eof() and content.exception() is None else None

    async def read(self) -> bytes:
        """Return the next bytes of the body, blank at its end. Raises `UpstreamFailure` where it ends too early."""
        try:
            return await joining(self._response.content).readany()
        except (aiohttp.ClientError, OSError) as exc:
            raise body_failure(exc) from exc

    async def aclose(self) -> None:
        """Give the connection back if the body was read to its end, else close it at once."""
        self._response.close()  # after a whole answer the connection is back in the pool already


class _Sent:
    """Progress of one request: whether its connection was used before, and when the request was handed over."""

    __slots__ = ("at", "reused")

    def __init__(self) -> None:
        self.reused = True
        self.at: float | None = None
        """Point on the monotonic clock; None before."""


_SENT: Final[ContextVar[_Sent]] = ContextVar("sent")
"""Progress of the task's own request. A trace of the library's would tell the same at a tenth of a call's cost."""


class _Request(aiohttp.ClientRequest):
    """A request that notes when it was handed to its connection."""

    async def send(self, conn: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
        response = await super().send(conn)
        _SENT.get().at = time.monotonic()
        return response


class _Connector(ReusingConnector):
    """Connections that note that they are new; the loop is watched while they are opened."""

    def __init__(self, stalls: Stalls, **options: Any) -> None:
        super().__init__(**options)
        self._stalls = stalls

    async def _create_connection(self, request: aiohttp.ClientRequest, *opening: Any) -> Any:
        _SENT.get().reused = False
        self.opens(request)
        with self._stalls.watched():
            return await super()._create_connection(request, *opening)
