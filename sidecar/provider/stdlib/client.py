"""The adapter of the one-shot process: the provider over asyncio alone.

Importing the SDK costs more than the whole answer may. One attempt a call; no retries. Of outside libraries it loads
aiohappyeyeballs, where a name has several addresses.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from sidecar.config.settings import Settings
from sidecar.provider.base import HttpUpstream, Reply
from sidecar.provider.codec import Body
from sidecar.provider.connection_errors import broken_off, cut, no_answer, not_http
from sidecar.provider.proxy import proxy_for
from sidecar.provider.stdlib.connect import connect
from sidecar.provider.stdlib.http1 import Connection
from sidecar.provider.stdlib.http1_reader import ProtocolError

if TYPE_CHECKING:
    from sidecar.provider.stdlib.trust import Trust

_IDLE_SECONDS: Final = 15.0
"""A connection unused for longer is not trusted to be open still."""


class LightUpstream(HttpUpstream):
    """The port `Upstream` for a process that lives for one request or a few.

    Raises `ConfigError` for a proxy or CA file that cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._proxy = proxy_for(self._endpoint, settings.proxies)
        self._trust = _trust(settings.ca_file) if self._endpoint.secure else None
        self._idle: list[Connection] = []
        self._closed = False
        absolute = self._proxy is not None and self._trust is None
        self._target = self._endpoint.url if absolute else self._endpoint.target
        if self._proxy and absolute and self._proxy.authorization:
            self._headers["Proxy-Authorization"] = self._proxy.authorization

    async def aclose(self) -> None:
        self._closed = True
        while self._idle:
            self._idle.pop().abort()
        await asyncio.sleep(0)  # an aborted transport closes its socket in the loop's next round

    async def _post(self, body: Body, accept: str, trace: Mapping[str, str]) -> Reply:
        own = {**self._headers, **await self._credentials.headers(), "Accept": accept, **trace}
        headers = [("Host", self._endpoint.authority), *own.items(), ("Content-Length", str(len(body)))]
        connection = self._take() or await connect(self._endpoint, self._proxy, self._trust)
        sent = time.monotonic()
        try:
            status, said = await connection.request("POST", self._target, headers, bytes(body))
        except (OSError, EOFError) as exc:
            connection.abort()
            if connection.begun:
                raise cut() from exc
            waited = time.monotonic() - sent
            raise no_answer(self._endpoint.authority, reused=connection.reused, waited=waited) from exc
        except ProtocolError as exc:
            connection.abort()
            raise not_http(self._endpoint.authority) from exc
        except BaseException:
            connection.abort()
            raise
        return _Reply(self, connection, status, said)

    def _take(self) -> Connection | None:
        oldest = asyncio.get_running_loop().time() - _IDLE_SECONDS
        while self._idle:
            connection = self._idle.pop()
            if connection.open and connection.idle_since >= oldest:
                connection.reused = True
                return connection
            connection.abort()
        return None

    def give_back(self, connection: Connection) -> None:
        """Keep a connection for the next call if it can be, else close it."""
        if connection.reusable and not self._closed:
            connection.idle_since = asyncio.get_running_loop().time()
            self._idle.append(connection)
        else:
            connection.abort()


def _trust(ca_file: str) -> "Trust":
    from sidecar.provider.stdlib.trust import Trust  # noqa: PLC0415 - needed for TLS only

    return Trust(ca_file)


class _Reply:
    def __init__(self, owner: LightUpstream, connection: Connection, status: int, headers: Mapping[str, str]) -> None:
        self._owner = owner
        self._connection: Connection | None = connection
        self._chunks = connection.chunks()
        self.status = status
        self.headers = headers

    def arrived(self) -> bytes | None:
        return None

    async def read(self) -> bytes:
        try:
            return await anext(self._chunks, b"")
        except ProtocolError as exc:
            raise broken_off() from exc
        except (OSError, EOFError) as exc:
            raise cut() from exc

    async def aclose(self) -> None:
        await self._chunks.aclose()
        if self._connection is not None:
            connection, self._connection = self._connection, None
            self._owner.give_back(connection)
