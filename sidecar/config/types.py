"""Kinds of settings: functions from a setting's text to its value.

Each kind raises `ValueError` with the values that it allows, worded to follow "must be".
"""

import re
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import msgspec

Kind = Callable[[str], Any]

_TRUE: Final = frozenset({"true", "1", "yes", "on"})
_FALSE: Final = frozenset({"false", "0", "no", "off"})
_UNITS: Final = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
_SIZE: Final = re.compile(r"([0-9]{1,18})\s*([kmg]?)(?:i?b)?", re.IGNORECASE)
_TOKEN: Final = re.compile(r"[!-~]+")
# The client takes any other option for an argument of its own, and some of those break what it reads.
_REDIS_OPTIONS: Final = {"db": "[0-9]{1,9}"}
_REDIS_TLS_OPTIONS: Final = _REDIS_OPTIONS | {
    "ssl_cert_reqs": "none|optional|required",
    "ssl_check_hostname": "no|false|0",
    "ssl_ca_certs": "/.+",
    "ssl_certfile": "/.+",
    "ssl_keyfile": "/.+",
}


def boolean(text: str) -> bool:
    lower = text.lower()
    if lower in _TRUE:
        return True
    if lower in _FALSE:
        return False
    raise ValueError("true or false")


def integer(low: int, high: int) -> Kind:
    def parse(text: str) -> int:
        if re.fullmatch(r"\+?[0-9]{1,18}", text) and low <= (value := int(text)) <= high:
            return value
        raise ValueError(f"a whole number from {low} to {high}")

    return parse


def seconds(low: float, high: float) -> Kind:
    def parse(text: str) -> float:
        if re.fullmatch(r"\+?[0-9]{1,12}(\.[0-9]{1,6})?", text) and low <= (value := float(text)) <= high:
            return value
        raise ValueError(f"seconds, from {low:g} to {high:g}")

    return parse


def size(low: int, high: int) -> Kind:
    """Make a kind for bytes, as a number or with a unit of 1024: 64MiB, 64M and 67108864 are the same."""

    def parse(text: str) -> int:
        match = _SIZE.fullmatch(text)
        if match and low <= (value := int(match[1]) * _UNITS[match[2].lower()]) <= high:
            return value
        raise ValueError(f"bytes, from {low} to {high}; units such as 64MiB are understood")

    return parse


def choice(*allowed: str) -> Kind:
    def parse(text: str) -> str:
        if (lower := text.lower()) in allowed:
            return lower
        raise ValueError(" or ".join(allowed))

    return parse


def name(text: str) -> str:
    """Parse a model's name: one line of printable text."""
    if len(text) <= 200 and text.isprintable():
        return text
    raise ValueError("one line of at most 200 printable characters")


def host(text: str) -> str:
    """Parse an address to listen on."""
    if text == "localhost":
        return text
    import ipaddress  # noqa: PLC0415 - late: the one-shot process listens nowhere

    try:
        return str(ipaddress.ip_address(text.strip("[]")))
    except ValueError:
        raise ValueError("an IP address, such as 127.0.0.1 or 0.0.0.0, or localhost") from None


def hosts(text: str) -> str:
    """Parse host names, separated by commas, into lower case without white space."""
    names = [name.strip().lower().removesuffix(".") for name in text.split(",")]
    if len(text) <= 4096 and all(re.fullmatch(r"[a-z0-9_]([a-z0-9._-]{0,252})", name) for name in names):
        return ",".join(names)
    raise ValueError("host names without a port, separated by commas, such as moodle.example.org")


def url(text: str) -> str:
    """Parse an http or https address."""
    wanted = "an http:// or https:// address"
    if not _TOKEN.fullmatch(text):
        raise ValueError(wanted)
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        raise ValueError(wanted) from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.fragment:
        raise ValueError(wanted)
    return text


def redis(text: str) -> str:
    """Parse the address of a Redis, or `embedded` for a private one."""
    wanted = (
        "redis://, rediss:// or unix:// with an address, such as redis://:password@127.0.0.1:6379/0, or embedded; "
        "its only options are db and, with rediss://, ssl_cert_reqs, ssl_check_hostname=no, ssl_ca_certs, "
        "ssl_certfile and ssl_keyfile"
    )
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


def prefix(text: str) -> str:
    """Parse the prefix of Redis keys; characters of hash tags and patterns would change the keys' meaning."""
    if re.fullmatch(r"[A-Za-z0-9._:-]{1,100}", text):
        return text
    raise ValueError("1 to 100 letters, digits or any of . _ : -")


def path(text: str) -> str:
    """Parse the absolute path of a folder."""
    if text.startswith("/") and text.isprintable() and len(text) <= 4096:
        return text.rstrip("/") or "/"
    raise ValueError("a whole path, beginning with /")


def header(text: str) -> str:
    """Parse one word for an HTTP header: printable ASCII without spaces."""
    if _TOKEN.fullmatch(text) and len(text) <= 4096:
        return text
    raise ValueError("printable ASCII without spaces")


secret: Final[Kind] = header
"""The kind of a key or token, which an HTTP header carries."""


def json_object(text: str) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        value = None
    if isinstance(value, dict):
        return value
    raise ValueError('a JSON object, such as {"reasoning_effort": "low"}')
