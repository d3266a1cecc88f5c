"""The official SDK with one shared client, on aiohttp's connections: the heavy half of this adapter.

The only place that imports openai and httpx2. Import it off the loop: it takes about a second.
"""

import logging
import ssl
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final

from sidecar import __version__
from sidecar.config.settings import Settings
from sidecar.core.errors import UpstreamFailure
from sidecar.provider.base import Reply
from sidecar.provider.connection_errors import CONNECT_SECONDS, cut, no_answer, not_connected, not_http, proxy_refused
from sidecar.provider.endpoint import Endpoint
from sidecar.provider.proxy import Proxy

# With OPENAI_LOG set, the SDK puts a handler on the root logger at import, unless the root logger has one.
_placeholder: Final = logging.NullHandler()
logging.getLogger().addHandler(_placeholder)

import aiohttp  # noqa: E402, TID251 - see above
import httpx2  # noqa: E402, TID251
import openai  # noqa: E402, TID251
from yarl import URL  # noqa: E402

logging.getLogger().removeHandler(_placeholder)
for _name in ("openai", "httpx2"):  # their lines hold addresses and texts, and a variable sets their level
    logging.getLogger(_name).setLevel(logging.CRITICAL + 1)

_IDLE_SECONDS: Final = 30.0
_HEADER_BYTES: Final = 32 * 2**10
"""Bytes of a header line, at most; a gateway's security policy can be longer than aiohttp's 8 KiB."""
_REPLY: Final = "sidecar.reply"
_ADDRESS: Final = httpx2.URL("http://provider/")
"""Address given to the SDK, which parses and logs addresses: the real address may hold a key."""


class SdkClient:
    """Posts bodies to one endpoint through `AsyncOpenAI`."""

    def __init__(self, settings: Settings, endpoint: Endpoint, proxy: Proxy | None, tls: ssl.SSLContext | None) -> None:
        # All values are given that the SDK would otherwise read from the environment.
        self._client = _Client(
            api_key="in the transport",
            admin_api_key="",
            organization="",
            project="",
            webhook_secret="",
            base_url=_ADDRESS,
            max_retries=0,
            timeout=None,
            http_client=_Http(
                transport=_Transport(settings.openai_api_key, endpoint, proxy, tls),
                trust_env=False,
                follow_redirects=False,
                timeout=None,
            ),
        )

    async def post(self, body: bytes, accept: str) -> Reply:
        """Return the reply to `body`, whatever its status. Raises `UpstreamFailure`."""
        try:
            response = await self._client.post(
                str(_ADDRESS), cast_to=httpx2.Response, content=body, options={"headers": {"Accept": accept}}
            )
        except openai.APIStatusError as exc:
            response = exc.response
        reply: Reply = response.extensions[_REPLY]
        return reply

    async def aclose(self) -> None:
        """Close every connection."""
        await self._client.close()


class _Client(openai.AsyncOpenAI):
    @property
    def default_headers(self) -> dict[str, str | openai.Omit]:
        """Return no headers: the transport sets them, and the SDK's own ones describe this machine to the provider."""
        return {}


class _Http(openai.DefaultAioHttpClient):
    def build_request(self, *_args: Any, **parts: Any) -> httpx2.Request:
        """Return the request without merging defaults and parsing addresses, which take an eighth of a call's CPU."""
        return httpx2.Request("POST", _ADDRESS, content=parts["content"], headers=parts["headers"])


class _Transport(httpx2.AsyncBaseTransport):
    """Transport from the SDK to aiohttp; the reply bypasses the SDK as an extension of an empty response.

    The SDK's layers would read a body whole, however long, and raise the same exception for a refused connection and
    for a silent one.
    """

    def __init__(self, key: str, endpoint: Endpoint, proxy: Proxy | None, tls: ssl.SSLContext | None) -> None:
        self._endpoint = endpoint
        self._url = URL(endpoint.url, encoded=True)
        self._proxy = proxy
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None
        self._headers = {
            "User-Agent": f"openai-moodle-sidecar/{__version__}",
            "Authorization": f"Bearer {key}",
            "Content-Type": "application/json",
            "Accept-Encoding": "identity",  # else a small answer could become a huge one
        }
        if not key:
            del self._headers["Authorization"]
        self._proxy_options: dict[str, Any] = {}
        if self._proxy:
            self._proxy_options["proxy"] = URL(self._proxy.url)
            if self._proxy.authorization:
                # aiohttp sends proxy_headers only to open a tunnel; a call without one carries the credentials itself.
                carrier = self._proxy_options.setdefault("proxy_headers", {}) if endpoint.secure else self._headers
                carrier["Proxy-Authorization"] = self._proxy.authorization

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if self._session is None:
            self._session = self._open()
        sent = _Sent()
        try:
            response = await self._session.post(
                self._url,
                data=request.content,
                headers={**self._headers, "Accept": request.headers["accept"]},
                allow_redirects=False,
                trace_request_ctx=sent,
                **self._proxy_options,
            )
        except (aiohttp.ClientError, OSError) as exc:
            raise self._failed(exc, sent) from exc
        return httpx2.Response(response.status, content=b"", extensions={_REPLY: _Reply(response)})

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()

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
