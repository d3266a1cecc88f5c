"""Client by the official SDK, which is imported in a thread while the loop runs.

This module is cheap to import, so that a server listens and answers /health while the SDK loads; client.py holds the
SDK's part. One attempt a call; retries are the engine's.
"""

import asyncio
import importlib
from collections.abc import Mapping
from typing import Any

from sidecar.config.settings import Settings
from sidecar.provider.base import HttpUpstream, Reply
from sidecar.provider.codec import Body
from sidecar.provider.proxy import proxy_for, tls_context


class SdkUpstream(HttpUpstream):
    """Port `Upstream` over `AsyncOpenAI`; calls wait, within their deadlines, until the SDK is loaded.

    Raises `ConfigError` for an unusable proxy or CA file.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._proxy = proxy_for(self._endpoint, settings.proxies)
        self._tls = tls_context(settings.ca_file) if self._endpoint.secure else None
        self._client: Any = None
        self._loading: asyncio.Task[None] | None = None

    def warm(self) -> "asyncio.Task[None]":
        """Start to load the SDK, once; return the task, which ends when the client is ready."""
        if self._loading is None:
            self._loading = asyncio.create_task(self._load(), name="load the provider's SDK")
        return self._loading

    async def aclose(self) -> None:
        if self._loading is not None:
            await self._loading
        if self._client is not None:
            await self._client.aclose()

    async def _post(self, body: Body, accept: str, trace: Mapping[str, str]) -> Reply:
        if self._client is None:
            await asyncio.shield(self.warm())  # the loading goes on for others after a caller left
        reply: Reply = await self._client.post(bytes(body), accept, trace)
        return reply

    async def _load(self) -> None:
        self._client = await asyncio.to_thread(self._open)

    def _open(self) -> Any:
        # On the loop this import would stall all requests for about a second, in a thread for some 30 ms.
        client = importlib.import_module("sidecar.provider.openai_sdk.client")
        transport = client.SessionTransport(self._endpoint, self._proxy, self._tls)
        return client.SdkClient(self._settings, self._endpoint, self._credentials, self._headers, transport)
