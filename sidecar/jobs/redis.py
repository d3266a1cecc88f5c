"""The connection to Redis: one bounded pool a process, and the wall where its errors become ours.

No key is named here. redis-py's own `socket_timeout` is not used: before Python 3.12 a cancellation can get lost in
it, so every use is bounded by `spoken`.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlsplit

import msgspec
from arq.connections import ArqRedis
from redis.asyncio import BlockingConnectionPool, UnixDomainSocketConnection
from redis.exceptions import NoPermissionError, RedisError

from sidecar.config.settings import Settings
from sidecar.core.errors import JobsUnavailable
from sidecar.jobs.redis_errors import reason

Redis = ArqRedis
"""The connection, for who does not know arq."""

CONNECTIONS: Final = 32
"""The most of one process; who needs one more waits."""
SOCKET: Final = "valkey.sock"
"""The embedded Valkey's socket in STATE_DIR."""


def redis_address(settings: Settings) -> str:
    """The address of REDIS_URL, with `embedded` spelled out."""
    if settings.redis_url == "embedded":
        return f"unix://{quote(f'{settings.state_dir}/{SOCKET}')}"
    return settings.redis_url


def connect(settings: Settings) -> ArqRedis:
    """A client that connects when it is first used; JSON both ways, never pickle."""
    address = redis_address(settings)
    # Without the library's name, which nobody reads, what Redis says on a connection is heard and not lost in it.
    options: dict[str, Any] = {"lib_name": None, "lib_version": None, "redis_connect_func": _connected}
    if not address.startswith("unix:"):
        options["socket_keepalive"] = True
    if address.startswith("rediss:"):
        # The library's own default takes anybody's certificate for Redis' own.
        options["ssl_check_hostname"] = dict(parse_qsl(urlsplit(address).query)).get("ssl_cert_reqs") != "none"
        if settings.ca_file:
            options["ssl_ca_certs"] = settings.ca_file
    pool: Any = BlockingConnectionPool.from_url(address, max_connections=CONNECTIONS, timeout=None, **options)
    if pool.connection_class is UnixDomainSocketConnection:
        pool.connection_class = _UnixConnection
    return ArqRedis(pool, job_serializer=msgspec.json.encode, job_deserializer=msgspec.json.decode)


class _UnixConnection(UnixDomainSocketConnection):
    """The library's own goes on using a connection on which the greeting failed: in another database than asked for."""

    async def _connect(self) -> None:
        self._reader, self._writer = await asyncio.open_unix_connection(path=self.path)


async def _connected(connection: Any) -> None:
    """Ask before a connection is used: who may not come in is told why only now."""
    await connection.on_connect()
    with contextlib.suppress(NoPermissionError):
        await connection.send_command("PING", check_health=False)
        await connection.read_response()


@asynccontextmanager
async def spoken(limit: float) -> AsyncIterator[None]:
    """Bound what is said to Redis to `limit` seconds; raise `JobsUnavailable` with why where it does not answer."""
    try:
        async with asyncio.timeout(limit):
            yield
    # RuntimeError is uvloop's for a connection that was reset between two words.
    except (RedisError, OSError, TimeoutError, RuntimeError) as exc:
        raise JobsUnavailable(f"Jobs are not available: {reason(exc)}") from exc
