"""The client of server, worker and batch: aiohttp with one shared session. One attempt a call; no retries."""

from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final

import aiohttp
from yarl import URL

from sidecar import __version__
from sidecar.config.settings import Settings
from sidecar.core.errors import UpstreamFailure
from sidecar.provider.base import HttpUpstream, Reply
from sidecar.provider.connection_errors import CONNECT_SECONDS, cut, no_answer, not_connected, not_http, proxy_refused
from sidecar.provider.proxy import proxy_for, tls_context

_IDLE_SECONDS: Final = 30.0
_HEADER_BYTES: Final = 32 * 2**10
"""The longest header line taken; a gateway's security policy can be longer than aiohttp's 8 KiB."""


class AiohttpUpstream(HttpUpstream):
    """The port `Upstream` over one aiohttp session. Raises `ConfigError` for a proxy or CA file that cannot be used."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._url = URL(self._endpoint.url, encoded=True)
        self._proxy = proxy_for(self._endpoint, settings.proxies)
        self._tls = tls_context(settings.ca_file) if self._endpoint.secure else None
        self._session: aiohttp.ClientSession | None = None
        headers = {
            "User-Agent": f"openai-moodle-sidecar/{__version__}",
            "Content-Type": "application/json",
            "Accept-Encoding": "identity",  # else a small answer could become a huge one
        }
        if settings.openai_api_key:
            headers["Authorization"] = f"Bearer {settings.openai_api_key}"
        self._through: dict[str, Any] = {}
        if self._proxy:
            self._through["proxy"] = URL(self._proxy.url)
            if self._proxy.authorization:
                # aiohttp sends proxy_headers to open a tunnel only; a plain call carries the credentials itself.
                shown = self._through.setdefault("proxy_headers", {}) if self._endpoint.secure else headers
                shown["Proxy-Authorization"] = self._proxy.authorization
        self._headers = headers

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _post(self, body: bytes, accept: str) -> Reply:
        if self._session is None:  # a session belongs to the running loop
            self._session = self._open()
        sent = _Sent()
        try:
            response = await self._session.post(
                self._url,
                data=body,
                headers={**self._headers, "Accept": accept},
                allow_redirects=False,
                trace_request_ctx=sent,
                **self._through,
            )
        except (aiohttp.ClientError, OSError) as exc:
            raise self._failed(exc, sent) from exc
        return _Reply(response)

    def _open(self) -> aiohttp.ClientSession:
        trace = aiohttp.TraceConfig()
        trace.on_connection_reuseconn.append(_note_reuse)
        trace.on_request_headers_sent.append(_note_sent)
        return aiohttp.ClientSession(
            # No limit here: the gate alone decides how many calls are in flight.
            connector=aiohttp.TCPConnector(limit=0, ssl=self._tls or True, keepalive_timeout=_IDLE_SECONDS),
            timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            max_line_size=_HEADER_BYTES,
            max_field_size=_HEADER_BYTES,
            trace_configs=[trace],
        )

    def _failed(self, exc: Exception, sent: "_Sent") -> UpstreamFailure:
        host = self._endpoint.authority
        if isinstance(exc, aiohttp.ClientHttpProxyError) and self._proxy:
            return proxy_refused(exc.status, self._proxy.name)
        if isinstance(exc, aiohttp.ClientResponseError):
            return not_http(host)
        if isinstance(exc, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError) or not sent.sent:
            if self._proxy and not isinstance(exc, aiohttp.ClientSSLError):
                return not_connected(exc, self._proxy.name, proxy=True)
            return not_connected(exc, host)
        if isinstance(exc, aiohttp.ServerDisconnectedError) and not isinstance(exc.message, str):
            return cut()  # after a part of the head
        return no_answer(host, reused=sent.reused)


class _Sent:
    """Progress of one request on its connection: whether the connection was reused, and whether the head was sent."""

    def __init__(self) -> None:
        self.reused = False
        self.sent = False


async def _note_reuse(_session: object, context: Any, _params: object) -> None:
    context.trace_request_ctx.reused = True


async def _note_sent(_session: object, context: Any, _params: object) -> None:
    context.trace_request_ctx.sent = True


class _Reply:
    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        try:
            async for chunk in self._response.content.iter_any():
                yield chunk
        except (aiohttp.ClientError, OSError) as exc:
            raise cut() from exc

    async def aclose(self) -> None:
        self._response.close()  # after a whole answer the connection is back in the pool already
