"""`AsyncOpenAI` as its users use it: one shared client, its retries off, its response read. The heavy half.

The only place that imports openai and httpx2. Import it off the loop: it takes about a second.
"""

import logging
from collections.abc import Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Final

from sidecar.config.settings import Settings
from sidecar.provider.base import Reply
from sidecar.provider.connection_errors import no_answer
from sidecar.provider.credentials import AUTHORIZATION, Credentials
from sidecar.provider.endpoint import Endpoint

# With OPENAI_LOG set, the SDK puts a handler on the root logger at import, unless the root logger has one.
_placeholder: Final = logging.NullHandler()
logging.getLogger().addHandler(_placeholder)

import httpx2  # noqa: E402, TID251 - see above
import openai  # noqa: E402, TID251

from sidecar.provider.openai_sdk.transport import ConnectionFailed, SessionTransport  # noqa: E402

logging.getLogger().removeHandler(_placeholder)
for _name in ("openai", "httpx2"):  # their lines hold addresses and texts, and a variable sets their level
    logging.getLogger(_name).setLevel(logging.CRITICAL + 1)

__all__ = ["SdkClient", "SessionTransport"]


class SdkClient:
    """Posts bodies to one endpoint through `AsyncOpenAI`."""

    def __init__(
        self,
        settings: Settings,
        where: Endpoint,
        credentials: Credentials,
        headers: Mapping[str, str],
        transport: httpx2.AsyncBaseTransport,
    ) -> None:
        self._url = where.url
        self._authority = where.authority
        self._credentials = credentials
        # All values are given that the SDK would otherwise read from the environment.
        self._client = _Client(
            headers,
            api_key=credentials.key,
            admin_api_key="",
            organization=settings.openai_org_id,
            project=settings.openai_project_id,
            webhook_secret="",
            base_url=where.url,
            max_retries=0,
            timeout=None,
            http_client=httpx2.AsyncClient(
                transport=transport,
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),  # a provider's cookie would join calls
                trust_env=False,
                follow_redirects=False,
                timeout=None,
            ),
        )

    async def post(self, body: bytes, accept: str, trace: Mapping[str, str]) -> Reply:
        """Return the reply to `body`, whatever its status; `trace` are headers. Raises `UpstreamFailure`."""
        headers: dict[str, Any] = {"Accept": accept, "x-stainless-retry-count": openai.omit, **trace}
        own = await self._credentials.headers()
        if AUTHORIZATION not in own:  # a bearer token is the SDK's business, Azure's header and no key at all are not
            headers |= {AUTHORIZATION: openai.omit, **own}
        try:
            # With `cast_to` it is the response, unread; `stream_cls` counts for the type checker alone.
            response: Any = await self._client.post(
                self._url,
                cast_to=httpx2.Response,
                content=body,
                options={"headers": headers},
                stream=True,
                stream_cls=openai.AsyncStream[Any],
            )
        except openai.APIStatusError as exc:
            return _Reply(exc.response)
        except openai.APIConnectionError as exc:
            if isinstance(exc.__cause__, ConnectionFailed):
                raise exc.__cause__.failure from exc
            raise no_answer(self._authority, reused=False, waited=0.0) from exc
        return _Reply(response)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._client.close()


class _Client(openai.AsyncOpenAI):
    def __init__(self, headers: Mapping[str, str], **parts: Any) -> None:
        super().__init__(**parts)
        self._ours = dict(headers)

    @property
    def default_headers(self) -> dict[str, str | openai.Omit]:
        """Return the product's headers: the SDK's describe this machine, and a variable of its own adds others."""
        return dict(self._ours)


class _Reply:
    """Port `Reply` over the SDK's response: unread where the call succeeded, read by the SDK where it did not."""

    def __init__(self, response: httpx2.Response) -> None:
        self._response = response
        self._chunks: Any = None
        self.status = response.status_code
        self.headers: Mapping[str, str] = response.headers

    def arrived(self) -> bytes | None:
        return self._response.content if self._response.is_closed else None

    async def read(self) -> bytes:
        if self._chunks is None:
            self._chunks = self._response.aiter_raw()
        return await anext(self._chunks, b"")

    async def aclose(self) -> None:
        if self._chunks is not None:
            await self._chunks.aclose()
        await self._response.aclose()
