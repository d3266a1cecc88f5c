"""Opening a connection for the light adapter: names, addresses, proxy, TLS. What is said on it is http1.py's business.

Names are looked up in a daemon thread of our own: asyncio's executor would be waited for at the end of the process,
and a caller reads this process's output to its end.
"""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from sidecar.provider.connection_errors import CONNECT_SECONDS, not_connected, proxy_refused
from sidecar.provider.endpoint import Endpoint
from sidecar.provider.proxy import Proxy
from sidecar.provider.stdlib.http1 import MAX_HEAD_BYTES, Connection

if TYPE_CHECKING:
    import ssl

_HEAD_START: Final = 0.25
"""Seconds an address has before the next one is tried beside it (RFC 8305, 5)."""
Address = tuple[int, Any]
"""A family and what `connect` takes."""


async def dial(endpoint: Endpoint, proxy: Proxy | None, tls: "ssl.SSLContext | None") -> Connection:
    """A connection on which requests for `endpoint` can be sent, within `CONNECT_SECONDS`.

    Raises `UpstreamUnreachable`.
    """
    host, port = (proxy.host, proxy.port) if proxy else (endpoint.host, endpoint.port)
    whom = proxy.name if proxy else endpoint.authority
    through = proxy is not None
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            sock = await _connect(await _addresses(host, port))
            try:
                if proxy and tls:
                    await _tunnel(sock, endpoint, proxy)
                    whom, through = endpoint.authority, False
                reader, writer = await asyncio.open_connection(
                    sock=sock, ssl=tls, server_hostname=endpoint.host if tls else None, limit=MAX_HEAD_BYTES
                )
            except BaseException:
                sock.close()
                raise
    except (OSError, EOFError) as exc:  # TimeoutError and ssl.SSLError are OSErrors too
        raise not_connected(exc, whom, proxy=through) from exc
    return Connection(reader, writer)


async def _addresses(host: str, port: int) -> Sequence[Address]:
    loop = asyncio.get_running_loop()
    found: asyncio.Future[Sequence[Address]] = loop.create_future()

    def settle(addresses: Sequence[Address], exc: OSError | None) -> None:
        if found.done():
            return
        if exc:
            found.set_exception(exc)
        else:
            found.set_result(addresses)

    def look_up() -> None:
        addresses: Sequence[Address] = ()
        failed = None
        try:
            answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            addresses = [(int(family), address) for family, _, _, _, address in answers]
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
    return [(int(family), (host, port))]


async def _connect(addresses: Sequence[Address]) -> socket.socket:
    """A socket to whichever address answers first; each has a head start over the next."""
    tries: set[asyncio.Task[socket.socket]] = set()
    failed: BaseException = OSError("no address")
    waiting = list(addresses)
    try:
        while waiting or tries:
            if waiting:
                tries.add(asyncio.create_task(_reach(*waiting.pop(0)), name="connect to the provider"))
            done, tries = await asyncio.wait(
                tries, timeout=_HEAD_START if waiting else None, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                if (exc := task.exception()) is None:
                    tries |= done - {task}
                    return task.result()
                failed = exc
        raise failed
    finally:
        for task in tries:
            task.add_done_callback(_close_unused)
            task.cancel()


def _close_unused(task: "asyncio.Task[socket.socket]") -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().close()


async def _reach(family: int, address: Any) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock


async def _tunnel(sock: socket.socket, endpoint: Endpoint, proxy: Proxy) -> None:
    """Make the proxy pass bytes on to the provider (RFC 9110, 9.3.6). Nothing follows its answer until we speak."""
    host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
    where = f"{host}:{endpoint.port}"
    head = f"CONNECT {where} HTTP/1.1\r\nHost: {where}\r\n"
    if proxy.authorization:
        head += f"Proxy-Authorization: {proxy.authorization}\r\n"
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(sock, f"{head}\r\n".encode("latin-1"))
    answer = b""
    while b"\r\n\r\n" not in answer:
        piece = await loop.sock_recv(sock, 4096)
        answer += piece
        if not piece or len(answer) > MAX_HEAD_BYTES:
            raise EOFError
    status = answer[9:12]
    if not (answer.startswith(b"HTTP/1.") and status.isdigit()):
        raise EOFError
    if not status.startswith(b"2"):
        raise proxy_refused(int(status), proxy.name)
