"""Opening a connection for the light adapter: names, addresses, proxy, TLS. What is said on it is http1.py's business.

Names are looked up in a daemon thread of our own: asyncio's executor would be waited for at the end of the process,
and a caller reads this process's output to its end.
"""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, cast

from sidecar.core.errors import UpstreamUnreachable
from sidecar.provider.connection_errors import CONNECT_SECONDS, not_connected, proxy_refused, unverified
from sidecar.provider.endpoint import Endpoint
from sidecar.provider.proxy import Proxy
from sidecar.provider.stalls import STALLED_SECONDS, Stalls
from sidecar.provider.stdlib.http1 import MAX_HEAD_BYTES, Connection, open_tunnel
from sidecar.provider.stdlib.http1_reader import ProtocolError

if TYPE_CHECKING:
    import ssl

    from aiohappyeyeballs import AddrInfoType

    from sidecar.provider.stdlib.trust import Trust

_HEAD_START: Final = 0.25
"""Seconds an address has before the next one is tried beside it (RFC 8305, 5)."""


async def connect(endpoint: Endpoint, proxy: Proxy | None, trust: "Trust | None") -> Connection:
    """Do as `dial` does, with all of the system's CAs where the first of them were not enough."""
    if trust is None:
        return await dial(endpoint, proxy, None)
    whole = trust.whole  # calls side by side may complete it meanwhile
    try:
        return await dial(endpoint, proxy, trust.context)
    except UpstreamUnreachable as exc:
        if whole or not unverified(exc):
            raise
    trust.complete()
    return await dial(endpoint, proxy, trust.context)


async def dial(
    endpoint: Endpoint, proxy: Proxy | None, tls: "ssl.SSLContext | None", *, connect_seconds: float = CONNECT_SECONDS
) -> Connection:
    """A connection on which requests for `endpoint` can be sent, within `connect_seconds` of a loop that runs.

    Raises `UpstreamUnreachable`.
    """
    stalls, stalled = Stalls(), 0.0
    with stalls.watched():
        while True:
            try:
                return await _dial(endpoint, proxy, tls, connect_seconds)
            except UpstreamUnreachable as exc:
                # The caller's deadline ends the attempts.
                if not isinstance(exc.__cause__, TimeoutError) or stalls.seconds - stalled < STALLED_SECONDS:
                    raise
            stalled = stalls.seconds


async def _dial(
    endpoint: Endpoint, proxy: Proxy | None, tls: "ssl.SSLContext | None", connect_seconds: float
) -> Connection:
    host, port = (proxy.host, proxy.port) if proxy else (endpoint.host, endpoint.port)
    whom = proxy.name if proxy else endpoint.authority
    through = proxy is not None
    try:
        async with asyncio.timeout(connect_seconds):
            sock = await _connected(await _addresses(host, port))
            try:
                if proxy and tls:
                    await _tunnel(sock, endpoint, proxy)
                    whom, through = endpoint.authority, False
                name = cast("str", _plain(endpoint.host)) if tls else None
                reader, writer = await asyncio.open_connection(
                    sock=sock, ssl=tls, server_hostname=name, limit=MAX_HEAD_BYTES
                )
            except BaseException:
                sock.close()
                raise
    except (OSError, EOFError, ProtocolError) as exc:  # TimeoutError and ssl.SSLError are OSErrors too
        raise not_connected(exc, whom, proxy=through) from exc
    return Connection(reader, writer)


async def _connected(addresses: Sequence["AddrInfoType"]) -> socket.socket:
    """Return a socket connected to the first address that answers."""
    if len(addresses) != 1:
        from aiohappyeyeballs import start_connection  # noqa: PLC0415 - late: one address needs no race

        return await start_connection(addresses, happy_eyeballs_delay=_HEAD_START)
    family, kind, protocol, _, address = addresses[0]
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock


async def _addresses(host: str, port: int) -> Sequence["AddrInfoType"]:
    loop = asyncio.get_running_loop()
    found: asyncio.Future[Sequence[AddrInfoType]] = loop.create_future()

    def settle(addresses: Sequence["AddrInfoType"], exc: OSError | None) -> None:
        if found.done():
            return
        if exc:
            found.set_exception(exc)
        else:
            found.set_result(addresses)

    def look_up() -> None:
        addresses: Sequence[AddrInfoType] = ()
        failed = None
        try:
            addresses = socket.getaddrinfo(_plain(host), port, type=socket.SOCK_STREAM)
        except OSError as exc:
            failed = exc
        except UnicodeError:  # an empty label, or one too long
            failed = socket.gaierror(socket.EAI_NONAME, "not a host name")
        with contextlib.suppress(RuntimeError):  # the loop may be closed by now
            loop.call_soon_threadsafe(settle, addresses, failed)

    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        socket.inet_pton(family, host)
    except OSError:
        threading.Thread(target=look_up, name="name lookup", daemon=True).start()
        return await found
    return [(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port))]


def _plain(host: str) -> str | bytes:
    """Return a name as the modules in C take it without the codec for names of other scripts, a megabyte to load."""
    return host.encode() if host.isascii() else host


async def _tunnel(sock: socket.socket, endpoint: Endpoint, proxy: Proxy) -> None:
    """Make the proxy pass bytes on to the provider."""
    host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
    where = f"{host}:{endpoint.port}"
    credentials = [("Proxy-Authorization", proxy.authorization)] if proxy.authorization else []
    status = await open_tunnel(sock, where, [("Host", where), *credentials])
    if not 200 <= status < 300:
        raise proxy_refused(status, proxy.name)
