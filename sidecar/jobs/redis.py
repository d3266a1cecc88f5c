"""Connection to Redis: one bounded pool a process, and the wall where redis-py's errors become the sidecar's.

Every use is bounded by `bounded` and not by redis-py's `socket_timeout`, in which a cancellation can get lost before
Python 3.12.
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
from sidecar.jobs.redis_errors import explain

Redis = ArqRedis
"""Type of the client, for modules that know nothing of arq."""

CONNECTIONS: Final = 32
"""Most connections of one process; a caller that needs one more waits."""
SOCKET: Final = "valkey.sock"
"""File name of the embedded Valkey's socket in STATE_DIR."""


def redis_address(settings: Settings) -> str:
    """Return the address of REDIS_URL, with `embedded` resolved to its socket."""
    if settings.redis_url == "embedded":
        return f"unix://{quote(f'{settings.state_dir}/{SOCKET}')}"
    return settings.redis_url


def connect(settings: Settings) -> ArqRedis:
    """Return a client that connects at its first use; arq's jobs are JSON, never pickle."""
    address = redis_address(settings)
    # redis-py sends its name first and drops the error of that command, and with it what Redis refuses.
    options: dict[str, Any] = {"lib_name": None, "lib_version": None, "redis_connect_func": _connected}
    if not address.startswith("unix:"):
        options["socket_keepalive"] = True
    if address.startswith("rediss:"):
        # redis-py's default accepts a certificate for any host name.
        options["ssl_check_hostname"] = dict(parse_qsl(urlsplit(address).query)).get("ssl_cert_reqs") != "none"
        if settings.ca_file:
            options["ssl_ca_certs"] = settings.ca_file
    pool: Any = BlockingConnectionPool.from_url(address, max_connections=CONNECTIONS, timeout=None, **options)
    if pool.connection_class is UnixDomainSocketConnection:
        pool.connection_class = _UnixConnection
    return ArqRedis(pool, job_serializer=msgspec.json.encode, job_deserializer=msgspec.json.decode)


class _UnixConnection(UnixDomainSocketConnection):
    """Connection to a unix socket. redis-py's own stays in use after a failed greeting, in the wrong database."""

    async def _connect(self) -> None:
        self._reader, self._writer = await asyncio.open_unix_connection(path=self.path)


async def _connected(connection: Any) -> None:
    """Send PING before a connection is used: a server that refuses the client gives the cause only now."""
    await connection.on_connect()
    with contextlib.suppress(NoPermissionError):
        await connection.send_command("PING", check_health=False)
        await connection.read_response()


@asynccontextmanager
async def bounded(limit: float) -> AsyncIterator[None]:
    """Bound the block to `limit` seconds; raise `JobsUnavailable`, with the cause, where Redis fails."""
    try:
        async with asyncio.timeout(limit):
            yield
    # uvloop raises RuntimeError for a connection that was reset between two writes.
    except (RedisError, OSError, TimeoutError, RuntimeError) as exc:
        raise JobsUnavailable(f"Jobs are not available: {explain(exc)}") from exc
