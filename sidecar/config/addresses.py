"""Kinds of settings that are addresses. Each common slip has a wording of its own, to follow "must be"."""

import re
from typing import Final
from urllib.parse import SplitResult, parse_qsl, urlsplit

from sidecar.config.types import bare
from sidecar.core.late_pattern import late_pattern

_WANTED: Final = "an http:// or https:// address"
_TOKEN: Final = late_pattern(r"[!-~]+")
_ONCE: Final = ("/v1", "/v1beta", "/v2", "/openai/v1", "/api/v1", "/chat/completions")
"""Parts of a path that a slip of copying doubles."""
_OPERATIONS: Final = frozenset({"models", "completions", "responses", "embeddings", "chat"})
"""Last parts, behind the version, of addresses of one operation; they are no addresses of an API."""
_FORBIDDEN: Final = frozenset('<>"{}|^`')
# The client takes any other option for an argument of its own, and some of those break what it reads.
_REDIS_OPTIONS: Final = {"db": "[0-9]{1,9}"}
_REDIS_TLS_OPTIONS: Final = _REDIS_OPTIONS | {
    "ssl_cert_reqs": "none|optional|required",
    "ssl_check_hostname": "no|false|0",
    "ssl_ca_certs": "/.+",
    "ssl_certfile": "/.+",
    "ssl_keyfile": "/.+",
}


def url(text: str) -> str:
    """Parse an http or https address."""
    bare(text)
    _check_characters(text)
    scheme, mark, rest = text.partition("://")
    if not mark:
        raise ValueError(f"{_WANTED}; this one lacks https:// at its beginning")
    if rest[:8].lower().startswith(("http:/", "https:/")):
        raise ValueError(f"{_WANTED}, with http:// or https:// once")
    parts = _split(text)
    if scheme.lower() not in {"http", "https"} or not parts.hostname:
        raise ValueError(_WANTED)
    if _FORBIDDEN.intersection(text):
        raise ValueError(f"{_WANTED} without any of < > {{ }} | ^; a name in such brackets stands for the real one")
    if "," in parts.netloc:
        raise ValueError("one http:// or https:// address; several providers stand in PROVIDERS_FILE")
    if not _is_host(parts.hostname):
        raise ValueError(f"{_WANTED} whose host has only letters, digits, -, _ and single dots")
    return text


def _is_host(host: str) -> bool:
    return ":" in host or all(map(_is_label, host.removesuffix(".").split(".")))


def _is_label(text: str) -> bool:
    return len(text) < 64 and text.strip("-_").replace("-", "").replace("_", "").isalnum()


def base_url(text: str) -> str:
    """Parse the address of a provider's API, with or without /chat/completions at its end."""
    path = _split(url(text)).path.rstrip("/") + "/"
    for part in _ONCE:
        if f"{part}{part}/" in path:
            raise ValueError(f"the API's address, with {part} once and not twice")
    before, _, last = path.rstrip("/").rpartition("/")
    if last in _OPERATIONS and before.removesuffix("/openai").endswith(("/v1", "/v1beta")):
        raise ValueError(f"the API's address, without /{last} at its end")
    return text


def _check_characters(text: str) -> None:
    if any(map(str.isspace, text)):
        raise ValueError(f"{_WANTED} without spaces")
    if "\\" in text:
        raise ValueError(f"{_WANTED}, with / in place of each backslash")
    if "#" in text:
        raise ValueError(f"{_WANTED} without # and what follows it")
    if not _TOKEN.fullmatch(text):
        raise ValueError(f"{_WANTED} in ASCII letters{_ascii_host(text)}")


def _ascii_host(text: str) -> str:
    """Return the advice to write a host with other letters as DNS has it; blank where that does not help."""
    try:
        host = urlsplit(text).hostname or ""
        written = host.encode("idna").decode()
    except ValueError:
        return ""
    return f"; its host is written {written}" if written != host else ""


def _split(text: str) -> SplitResult:
    try:
        parts = urlsplit(text)
    except ValueError:
        raise ValueError(_WANTED) from None
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise ValueError(f"{_WANTED}, with a port from 1 to 65535 if it names one")
    return parts


def redis(text: str) -> str:
    """Parse the address of a Redis, or `embedded` for a private one."""
    wanted = (
        "redis://, rediss:// or unix:// with an address, such as redis://:password@127.0.0.1:6379/0, or embedded; "
        "its only options are db and, with rediss://, ssl_cert_reqs, ssl_check_hostname=no, ssl_ca_certs, "
        "ssl_certfile and ssl_keyfile"
    )
    bare(text)
    if text.lower() == "embedded":
        return "embedded"
    if not _TOKEN.fullmatch(text):
        raise ValueError(wanted)
    try:
        parts = urlsplit(text)
        options = parse_qsl(parts.query)
        _ = parts.port
    except ValueError:
        raise ValueError(wanted) from None
    known = _REDIS_TLS_OPTIONS if parts.scheme == "rediss" else _REDIS_OPTIONS
    if not all(name in known and re.fullmatch(known[name], value) for name, value in options):
        raise ValueError(wanted)
    named = parts.path if parts.scheme == "unix" else parts.hostname
    database = "" if parts.scheme == "unix" else parts.path.strip("/")
    if parts.scheme not in {"redis", "rediss", "unix"} or not named or (database and not database.isdecimal()):
        raise ValueError(wanted)
    return text
