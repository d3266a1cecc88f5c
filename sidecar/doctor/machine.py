"""Checks of this machine: the port, the descriptors that a burst takes, and the kernel's queue of connections."""

import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from sidecar.config.settings import Settings
from sidecar.core import remedies
from sidecar.core.errors import ConfigError
from sidecar.doctor.findings import Finding
from sidecar.doctor.http_check import NOT_LISTENING, Response, fetch
from sidecar.http.server.listener import BACKLOG, listen
from sidecar.http.server.port_holder import port_holder

SERVICE: Final = "openai-moodle-sidecar"
_SPARE: Final = 100
"""Descriptors for everything but callers and provider calls."""
_EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - addresses to listen on, and those to call
_QUEUE_LIMIT: Final = Path("/proc/sys/net/core/somaxconn")


async def port(settings: Settings) -> Finding:
    """Check that the port is free or serves a sidecar."""
    if settings.port == 0:
        return Finding("port", "note", "PORT=0 takes a free one at each start; Moodle needs one that stays")
    host = _EVERYWHERE.get(settings.host, settings.host)
    where = f"[{host}]:{settings.port}" if ":" in host else f"{host}:{settings.port}"
    response = await fetch(f"http://{where}/health")
    if isinstance(response, Response):
        if response.json.get("service") != SERVICE:
            return Finding("port", "failed", f"something else answers on {where}", _find_listener(settings))
        if response.status == 200:
            return Finding("port", "ok", f"the sidecar answers on {where}")
        return Finding("port", "warning", f"the sidecar on {where} is draining", remedies.RESTART)
    if response != NOT_LISTENING:
        return Finding("port", "failed", f"{where}: {response}", _find_listener(settings))
    return _free(settings, where)


def _free(settings: Settings, where: str) -> Finding:
    try:
        listen(settings.host, settings.port).close()
    except ConfigError as exc:
        return Finding("port", "failed", exc.faults[0], "choose another PORT or HOST")
    how = "start it (systemctl start openai-moodle-sidecar, or ./start-server.sh), or name its port with --port"
    return Finding("port", "note", f"{where} is free: no sidecar runs there", how)


def _find_listener(settings: Settings) -> str:
    if holder := port_holder(settings.host, settings.port):
        return f"{holder} listens there: stop it, or set another PORT"
    return f"ss -ltnp | grep {settings.port} (as root) shows who listens; stop it, or set another PORT"


def limits(settings: Settings) -> Iterator[Finding]:
    """Check the kernel's limits that a burst runs into."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = settings.queue_size + settings.concurrency + _SPARE
    enough = hard == resource.RLIM_INFINITY or hard >= wanted
    yield Finding(
        "open files",
        "ok" if enough else "warning",
        f"at most {'any number' if hard == resource.RLIM_INFINITY else hard} for a program started here; "
        f"QUEUE_SIZE and CONCURRENCY need {wanted}",
        "" if enough else "LimitNOFILE=65536 in the unit, nofile: 65536 in compose, or a smaller QUEUE_SIZE",
    )
    try:
        queue = int(_QUEUE_LIMIT.read_text("ascii"))
    except (OSError, ValueError):
        return
    enough = queue >= min(BACKLOG, settings.queue_size)
    yield Finding(
        "kernel queue",
        "ok" if enough else "warning",
        f"{queue} connections may wait to be accepted (net.core.somaxconn)",
        "" if enough else f"sysctl -w net.core.somaxconn={BACKLOG}, and the same in /etc/sysctl.d",
    )
