"""Process that listens on a port: found in /proc, where this user may look at that process."""

import contextlib
import ipaddress
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_PROC: Final = Path("/proc")
_LISTENING: Final = "0A"
"""TCP_LISTEN, as in the column `st` (proc_pid_net(5))."""
_MOST_DESCRIPTORS: Final = 200_000
"""Descriptors looked at before the search ends, so that a start on a busy machine stays short."""
_NAME: Final = re.compile(r"[^A-Za-z0-9._-]+")


def port_holder(host: str, port: int, proc: Path = _PROC) -> str:
    """Return name and id of the process that listens on `host` and `port`; blank where that cannot be known.

    The name is the kernel's short one: a command line may hold a key.
    """
    sockets = {f"socket:[{inode}]" for inode in _inodes(host, port, proc)}
    for process, target in _descriptors(proc) if sockets else ():
        if target in sockets:
            name = "a process"
            with contextlib.suppress(OSError):
                name = _NAME.sub(" ", (process / "comm").read_text("ascii", "replace")).strip() or name
            return f"{name} (process {process.name})"
    return ""


def _inodes(host: str, port: int, proc: Path) -> Iterator[str]:
    """Yield the inodes of listening sockets that stand in the way of `host` and `port`."""
    own = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    for table in ("net/tcp", "net/tcp6"):
        try:
            rows = (proc / table).read_text("ascii").splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            fields = row.split()
            address, _, number = fields[1].rpartition(":")
            if fields[3] == _LISTENING and int(number, 16) == port and _collide(own, _address(address)):
                yield fields[9]


def _address(text: str) -> Address:
    """Return the address of 32-bit words, each in the machine's byte order; a mapped one as IPv4."""
    words = [int(text[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(text), 8)]
    found = ipaddress.ip_address(b"".join(words))
    return (found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None) or found


def _collide(own: Address, other: Address) -> bool:
    if own == other or str(other) == "::" or str(own) == "::":
        return True
    return own.version == other.version and (own.is_unspecified or other.is_unspecified)


def _descriptors(proc: Path) -> Iterator[tuple[Path, str]]:
    """Yield the processes that this user may look at, with the target of each descriptor."""
    left = _MOST_DESCRIPTORS
    for process in proc.iterdir():
        if not process.name.isdecimal():
            continue
        with contextlib.suppress(OSError):
            for entry in (process / "fd").iterdir():
                left -= 1
                if left < 0:
                    return
                with contextlib.suppress(OSError):
                    yield process, str(entry.readlink())
