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

# OPENAI_LOG would make the SDK put a handler on the root logger while it is imported; it does not where one is.
_placeholder: Final = logging.NullHandler()
logging.getLogger().addHandler(_placeholder)

import aiohttp  # noqa: E402, TID251 - see above
import httpx2  # noqa: E402, TID251
import openai  # noqa: E402, TID251
from yarl import URL  # noqa: E402

logging.getLogger().removeHandler(_placeholder)
for _name in ("openai", "httpx2"):  # addresses and texts, at levels that a variable could turn on
    logging.getLogger(_name).setLevel(logging.CRITICAL + 1)

_IDLE_SECONDS: Final = 30.0
_HEADER_BYTES: Final = 32 * 2**10
"""The longest header line taken; a gateway's security policy can be longer than aiohttp's 8 KiB."""
_REPLY: Final = "sidecar.reply"
_ADDRESS: Final = httpx2.URL("http://provider/")
"""What the SDK believes it calls: it parses and logs addresses, and the real one may hold a key."""


class SdkClient:
    """Posts bodies to one endpoint through `AsyncOpenAI`."""

    def __init__(self, settings: Settings, endpoint: Endpoint, proxy: Proxy | None, tls: ssl.SSLContext | None) -> None:
        # Everything the SDK would otherwise look for in the environment is given here.
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
        """The reply to `body`, whatever its status. Raises `UpstreamFailure`."""
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
        """Nothing: the transport has the headers, and what the SDK tells about this machine is nobody's business."""
        return {}


class _Http(openai.DefaultAioHttpClient):
    def build_request(self, *_args: Any, **parts: Any) -> httpx2.Request:
        """The request without what merging defaults and parsing addresses would add: an eighth of a call's CPU."""
        return httpx2.Request("POST", _ADDRESS, content=parts["content"], headers=parts["headers"])


class _Transport(httpx2.AsyncBaseTransport):
    """Takes a call from the SDK to aiohttp and the reply past it, as an extension of an empty response.

    Passing by spares the SDK's layers a body they would read whole, however long, and their exceptions, of which a
    refused connection and a silent one are the same.
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
        self._through: dict[str, Any] = {}
        if self._proxy:
            self._through["proxy"] = URL(self._proxy.url)
            if self._proxy.authorization:
                # aiohttp sends proxy_headers to open a tunnel only; a plain call carries the credentials itself.
                shown = self._through.setdefault("proxy_headers", {}) if endpoint.secure else self._headers
                shown["Proxy-Authorization"] = self._proxy.authorization

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
                **self._through,
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
            # No limit of its own: how many calls are under way is decided in one place, the gate.
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
        whom = self._endpoint.authority
        if isinstance(exc, aiohttp.ClientHttpProxyError) and self._proxy:
            return proxy_refused(exc.status, self._proxy.name)
        if isinstance(exc, aiohttp.ClientResponseError):
            return not_http(whom)
        if isinstance(exc, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError) or not sent.sent:
            if self._proxy and not isinstance(exc, aiohttp.ClientSSLError):
                return not_connected(exc, self._proxy.name, proxy=True)
            return not_connected(exc, whom)
        if isinstance(exc, aiohttp.ServerDisconnectedError) and not isinstance(exc.message, str):
            return cut()  # a part of the head had come
        return no_answer(whom, reused=sent.reused)


class _Sent:
    """What became of one request, as far as its connection tells."""

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
        self._response.close()  # a connection whose answer was read whole has gone back already
