"""The listening socket, with a backlog for a burst, and the descriptors for the connections it accepts."""

import errno
import ipaddress
import resource
import socket
from typing import Final

from sidecar.core.errors import ConfigError
from sidecar.http.server.port_holder import port_holder

BACKLOG: Final = 4096
"""Connections the kernel holds until they are accepted; its own limit is net.core.somaxconn."""
DESCRIPTORS: Final = 65_536
"""The most open files requested: a caller and a provider call are one each."""
CALL_DESCRIPTORS: Final = 2
"""Descriptors of one provider call: two addresses tried at once, or also the demo provider's end."""
OTHER_DESCRIPTORS: Final = 64
"""Descriptors of the loop, the log, name look-ups and the like."""
FEWEST: Final = 16
"""Connections below which serving makes no sense."""


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on `host` and `port`; raise `ConfigError` if binding fails."""
    address = "127.0.0.1" if host == "localhost" else host
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if address == "::":
            # :: includes IPv4 too, whatever the machine's default.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind((address, port))
        sock.listen(BACKLOG)
    except OSError as exc:
        sock.close()
        raise ConfigError([_fault(exc, host, port)]) from exc
    sock.setblocking(False)
    return sock


def _fault(exc: OSError, host: str, port: int) -> str:
    match exc.errno:
        case errno.EADDRINUSE:
            holder = port_holder(host, port) or "a process that `ss -ltnp` shows to root"
            return f"PORT={port}: {holder} listens on {host}:{port} already; stop it, or set another PORT (--port)"
        case errno.EACCES:
            return (
                f"PORT={port}: this user may not listen on {host}:{port}; take a port from 1024 on, such as 8081, or "
                "let systemd open this one (deploy/openai-moodle-sidecar.socket)"
            )
        case errno.EADDRNOTAVAIL:
            return f"HOST={host}: this machine has no such address"
        case _:
            return f"HOST={host}, PORT={port}: cannot listen there ({exc.strerror})"


def local_only(sock: socket.socket) -> bool:
    """Return whether only this machine reaches the socket."""
    if sock.family not in {socket.AF_INET, socket.AF_INET6}:
        return True
    return ipaddress.ip_address(sock.getsockname()[0].partition("%")[0]).is_loopback


def raise_descriptor_limit() -> int:
    """Raise the limit of open files up to the hard limit, at most `DESCRIPTORS`; return the new limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft == resource.RLIM_INFINITY:
        return DESCRIPTORS
    if soft >= wanted:
        return soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


def connection_limit(limit: int, concurrency: int) -> int:
    """Return the most connections at once: `limit` open files less those reserved for `concurrency` provider calls.

    Raises `ConfigError` if fewer than `FEWEST` are left.
    """
    reserved = OTHER_DESCRIPTORS + CALL_DESCRIPTORS * concurrency
    if limit - reserved >= FEWEST:
        return limit - reserved
    fits = (limit - OTHER_DESCRIPTORS - FEWEST) // CALL_DESCRIPTORS
    remedy = f", or set CONCURRENCY to {fits} or less" if fits > 0 else ""
    needs = f"needs {reserved + FEWEST} open files and this process may have {limit}"
    raise ConfigError([f"CONCURRENCY={concurrency}: {needs}; allow more (ulimit -n, LimitNOFILE=){remedy}"])
