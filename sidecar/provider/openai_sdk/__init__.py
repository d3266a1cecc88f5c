"""The adapter of the server and the worker: the official SDK, imported beside the running loop.

Cheap to import and to make, so that a server listens and answers /health while the SDK loads; what needs the SDK
itself is in client.py. One attempt a call; no retries.
"""

import asyncio
import importlib
from typing import Any

from sidecar.config.settings import Settings
from sidecar.provider.base import HttpUpstream, Reply
from sidecar.provider.proxy import proxy_for, tls_context


class SdkUpstream(HttpUpstream):
    """The port `Upstream` over `AsyncOpenAI`; calls wait, within their deadlines, until the SDK is there.

    Raises `ConfigError` for a proxy or CA file that cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._settings = settings
        self._proxy = proxy_for(self._endpoint, settings.proxies)
        private = self._endpoint.secure and settings.ca_file
        # The system's CAs alone cannot be at fault, so they are read in the thread.
        self._tls = tls_context(settings.ca_file) if private else None
        self._client: Any = None
        self._loading: asyncio.Task[None] | None = None

    def warm(self) -> "asyncio.Task[None]":
        """Begin to load the SDK unless that was begun; done when calls wait no more."""
        if self._loading is None:
            self._loading = asyncio.create_task(self._load(), name="load the provider's SDK")
        return self._loading

    async def aclose(self) -> None:
        if self._loading is not None:
            await self._loading
        if self._client is not None:
            await self._client.aclose()

    async def _post(self, body: bytes, accept: str) -> Reply:
        if self._client is None:
            await asyncio.shield(self.warm())  # a caller who leaves stops the loading for nobody
        reply: Reply = await self._client.post(body, accept)
        return reply

    async def _load(self) -> None:
        self._client = await asyncio.to_thread(self._open)

    def _open(self) -> Any:
        # On the loop this import would stall everybody for about a second, in a thread for some 30 ms.
        module = importlib.import_module("sidecar.provider.openai_sdk.client")
        if self._endpoint.secure and self._tls is None:
            self._tls = tls_context("")
        return module.SdkClient(self._settings, self._endpoint, self._proxy, self._tls)
