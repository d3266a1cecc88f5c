"""The client of server, worker and batch: aiohttp with one shared session. One attempt a call; no retries."""

from collections.abc import Mapping

from yarl import URL

from sidecar.config.settings import Settings
from sidecar.provider.aiohttp.session import Session
from sidecar.provider.base import HttpUpstream, Reply
from sidecar.provider.codec import Body
from sidecar.provider.proxy import proxy_for, tls_context


class AiohttpUpstream(HttpUpstream):
    """The port `Upstream` over one aiohttp session. Raises `ConfigError` for a proxy or CA file that cannot be used."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._url = URL(self._endpoint.url, encoded=True)
        self._target = self._url.raw_path_qs
        proxy = proxy_for(self._endpoint, settings.proxies)
        self._session = Session(self._endpoint, proxy, tls_context(settings.ca_file) if self._endpoint.secure else None)

    async def aclose(self) -> None:
        await self._session.aclose()

    async def _post(self, body: Body, accept: str, trace: Mapping[str, str]) -> Reply:
        headers = {**self._headers, **await self._credentials.headers(), "Accept": accept, **trace}
        return await self._session.post_reusing(self._url, self._target, body, headers)
