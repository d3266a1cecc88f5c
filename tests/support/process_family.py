"""A server of several processes as the machine sees it: its children, and whose a connection is."""

import contextlib
from pathlib import Path

from tests.support.server_process import Served

_ESTABLISHED = "01"


def children(server: Served) -> list[int]:
    """Return the ids of the serving processes."""
    pid = server.process.pid
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def connections(server: Served) -> dict[int, set[int]]:
    """Return the callers' ports by the serving process that has their connections."""
    ports = {}
    for row in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = row.split()
        local, remote = (int(address.rpartition(":")[2], 16) for address in fields[1:3])
        if local == server.port and fields[3] == _ESTABLISHED:
            ports[f"socket:[{fields[9]}]"] = remote
    return {pid: {ports[name] for name in _descriptors(pid) if name in ports} for pid in children(server)}


def _descriptors(pid: int) -> set[str]:
    found = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            found.add(str(entry.readlink()))
    return found


def gone(pid: int) -> bool:
    """Return whether a process has ended, reaped or not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in {"Z", "X"}
    except FileNotFoundError:
        return True
