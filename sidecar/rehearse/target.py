"""Address of the sidecar that is rehearsed with: checked, since a burst at a stranger's server is an attack."""

import ipaddress
from typing import Final
from urllib.parse import urlsplit

from sidecar.config import addresses
from sidecar.core.errors import ConfigError, plain

_LOCAL_OF_ANY: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - nothing listens here


def own_address(host: str, port: int) -> str:
    """Return the base address of the sidecar that the settings describe, as this machine reaches it."""
    host = _LOCAL_OF_ANY.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def checked(url: str, *, token: str, knowing: bool) -> str:
    """Return the base address in `url`, which may end in /ai.

    Raises:
        ConfigError: no address, a secret in the address, or another machine without `knowing` and a token.

    """
    try:
        parts = urlsplit(addresses.url(url))
    except ValueError as exc:
        raise ConfigError([f"--url={_shown(url)}: must be {exc}"]) from None
    if "@" in parts.netloc or parts.query:
        raise ConfigError(
            ["--url: without user, password and query, which every user of this machine can read; use SIDECAR_TOKEN"]
        )
    if not _is_loopback(parts.hostname or ""):
        fault = f"--url={_shown(url)}: not this machine, and a rehearsal is a burst of real requests"
        if not knowing:
            raise ConfigError([f"{fault}; if it is your own sidecar, add --i-know"])
        if not token:
            raise ConfigError([f"{fault}; set SIDECAR_TOKEN, the token of that sidecar"])
    return url.rstrip("/").removesuffix("/ai").rstrip("/")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def _shown(url: str) -> str:
    return "(not shown)" if "@" in url or "?" in url else plain(url, 100)
