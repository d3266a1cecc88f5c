"""A listening socket that another process opened and passed on: systemd's protocol, sd_listen_fds(3).

The settings have the number of descriptors passed; here they become a socket or a `ConfigError`.
"""

import os
import socket
import stat
from typing import Final

from sidecar.core import events
from sidecar.core.errors import ConfigError

FIRST: Final = 3
"""The first descriptor passed on (SD_LISTEN_FDS_START)."""


def inherited(count: int, first: int = FIRST) -> socket.socket | None:
    """Return the socket at the descriptor `first` of `count` passed on; None for a count of 0.

    Raises `ConfigError` for more than one, and for a descriptor that is no listening stream socket.
    """
    if count == 0:
        return None
    if count > 1:
        raise ConfigError([f"LISTEN_FDS={count}: one listening socket is served; leave one ListenStream= in the unit"])
    if not _is_socket(first):
        raise ConfigError([f"LISTEN_FDS=1: the descriptor {first} is no socket"])
    sock = socket.socket(fileno=first)
    if sock.type != socket.SOCK_STREAM or not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        sock.close()
        raise ConfigError([f"LISTEN_FDS=1: the socket {first} does not listen; use ListenStream= and Accept=no"])
    sock.setblocking(False)
    sock.set_inheritable(False)
    events.info("inherited", note="a listening socket was passed on and is served; HOST and PORT are ignored")
    return sock


def _is_socket(descriptor: int) -> bool:
    try:
        return stat.S_ISSOCK(os.fstat(descriptor).st_mode)
    except OSError:
        return False
