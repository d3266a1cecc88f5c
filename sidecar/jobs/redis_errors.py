"""Errors of Redis as sentences that an operator can act on. Redis' own message is matched and never shown.

redis-py gives some errors a class, without their code, and leaves the code in front of others; a pipeline puts the
command with its arguments before the message, and a unix socket wraps the error. The tables were read in redis-py's
source and tried with real servers.
"""

import re
import socket
import ssl
from collections.abc import Iterator
from typing import Final

from redis import exceptions as theirs

_SILENT: Final = (
    "Redis does not answer in time: it is stopped or overloaded, a firewall is in between, or REDIS_URL says rediss:// "
    "and it speaks no TLS."
)
_BY_TYPE: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (
        theirs.BusyLoadingError,
        "Redis is loading its file after a start. It is ready in a moment; nothing is to be done.",
    ),
    (
        theirs.NoPermissionError,
        "Redis does not permit this user what jobs need: give it all commands on the keys under REDIS_PREFIX (ACL).",
    ),
    (
        theirs.OutOfMemoryError,
        "Redis is full: raise its maxmemory, or give jobs a Redis of their own.",
    ),
    (
        theirs.ReadOnlyError,
        "Redis is a read-only replica: REDIS_URL must name the primary.",
    ),
    (
        theirs.InvalidResponse,
        "What answers there does not speak Redis' protocol: another service, or TLS (then rediss:// in REDIS_URL).",
    ),
    (
        ssl.SSLCertVerificationError,
        "Redis has a certificate that is not trusted (name its CA's file in SSL_CERT_FILE), or that is another host's.",
    ),
    (
        ssl.SSLError,
        "Redis speaks no TLS at that port, or another version of it: use redis:// in REDIS_URL, or its TLS port.",
    ),
    (
        socket.gaierror,
        "Redis' host name in REDIS_URL has no address: check its spelling, and this machine's DNS.",
    ),
    (
        FileNotFoundError,
        (
            "Redis' socket file is not there: it does not run, or REDIS_URL names another path (embedded: the server "
            "that starts it does not run, or has another STATE_DIR)."
        ),
    ),
    (
        PermissionError,
        "Redis' socket file may not be used by this user: check its unixsocketperm and its group.",
    ),
    (
        ConnectionRefusedError,
        "Redis refuses the connection: it does not run, or listens at another address or port than REDIS_URL names.",
    ),
    (
        TimeoutError,
        _SILENT,
    ),
    (
        theirs.TimeoutError,
        _SILENT,
    ),
)

_NEED: Final = (
    "Redis does not know a command that jobs need: Redis 6.2 or newer is needed, or Valkey, with scripts allowed."
)
_CLUSTER: Final = "Redis is a cluster, which jobs cannot use: REDIS_URL must name a single server."

_BY_MESSAGE: Final[tuple[tuple[re.Pattern[str], str], ...]] = tuple(
    (re.compile(pattern), sentence)
    for pattern, sentence in (
        (
            r"NOAUTH|Authentication required",
            "Redis asks for a password, and REDIS_URL has none: write it as redis://:PASSWORD@host.",
        ),
        (
            r"AUTH <password> called without|Client sent AUTH",
            "Redis has no password, but REDIS_URL has one: take it out, or set requirepass in Redis.",
        ),
        (r"WRONGPASS|invalid (username|password)|Invalid Username", "Redis refuses the user or password of REDIS_URL."),
        (
            r"DENIED",
            "Redis is in protected mode and refuses other machines: set a password there and in REDIS_URL.",
        ),
        (r"OOM ", "Redis is full: raise its maxmemory, or give jobs a Redis of their own."),
        (r"READONLY", "Redis is a read-only replica: REDIS_URL must name the primary."),
        (r"NOREPLICAS|MASTERDOWN", "Redis misses its replicas or its primary: see its log."),
        (r"NOPERM", "Redis does not permit this user what jobs need: give it all commands on the keys (ACL)."),
        (
            r"MISCONF",
            "Redis cannot write to its disk and takes nothing more: see its log, and whether the disk is full.",
        ),
        (r"BUSY ", "Redis is busy with a script of somebody else's, and serves nobody meanwhile."),
        (r"max number of clients", "Redis has too many clients: raise its maxclients, or see who connects so often."),
        (r"(?i)unknown (.*)?command|wrong number of arguments|syntax error|unknown subcommand", _NEED),
        (r"WRONGTYPE", "A key under REDIS_PREFIX is somebody else's: choose another REDIS_PREFIX."),
        (r"CROSSSLOT|CLUSTERDOWN|MOVED |ASK ", _CLUSTER),
        (r"(invalid )?DB index", "Redis has no database of the number in REDIS_URL; 0 is always there."),
        (
            r"Connection closed|Connection lost|Connection not ready|Connection has data",
            "Redis closes the connection: it restarts, has too many clients, is in protected mode, or speaks TLS.",
        ),
        (r"Multiple exceptions", "Redis cannot be reached at any address of its host name."),
    )
)
_COMMAND: Final = re.compile(r"^Command # \d+ .* of pipeline caused error: \(?['\"]?", re.DOTALL)
"""Prefix of a pipeline's errors; a user's text is in it."""
_SCRIPT: Final = re.compile(r"^(ERR )?Error running script.*?@user_script: ?\d+: -?", re.DOTALL)
"""Prefix of a script's errors from a server before 7."""


def explain(exc: BaseException) -> str:
    """Return the sentence for what failed in Redis."""
    for one in _chain(exc):
        for kind, sentence in _BY_TYPE:
            if isinstance(one, kind):
                return sentence
        message = _SCRIPT.sub("", _COMMAND.sub("", str(one))).removeprefix("ERR ")
        for pattern, sentence in _BY_MESSAGE:
            if pattern.match(message):
                return sentence
    for one in _chain(exc):
        if isinstance(one, OSError | theirs.ConnectionError):
            return "Redis cannot be reached: check REDIS_URL, and whether the network leads there."
    return f"Redis failed ({type(exc).__name__})."


def _chain(exc: BaseException | None) -> Iterator[BaseException]:
    """Yield the error and its causes: redis-py wraps the errors of the connection."""
    while exc is not None:
        yield exc
        exc = exc.__cause__ or exc.__context__
