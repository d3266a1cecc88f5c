"""Kinds of settings: functions from a setting's text to its value.

Each kind raises `ValueError` with the values that it allows, worded to follow "must be".
"""

import os
import re
from collections.abc import Callable
from typing import Any, Final

import msgspec

from sidecar.core.late_pattern import late_pattern

Kind = Callable[[str], Any]

MOST_PROCESSES: Final = 64
_TRUE: Final = frozenset({"true", "1", "yes", "on"})
_FALSE: Final = frozenset({"false", "0", "no", "off"})
_UNITS: Final = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}
_SIZE: Final = late_pattern(r"([0-9]{1,18})\s*([kmgt]?)(?:i?b)?", re.IGNORECASE)
# Compiled where they are needed, since a one-shot process pays for each.
_ASSIGNED: Final = r"(export\s+)?([A-Z][A-Z0-9]*(_[A-Z0-9]+)+|(?i:(\w*_)?(api[_-]?)?(key|token)))\s*(=(?!=|$)|:\s)"
_PLACEHOLDER: Final = r"\$\{\w+\}|\$[A-Z][A-Z0-9]*(_[A-Z0-9]+)+|<[^<>]+>"


def bare(text: str) -> None:
    """Raise `ValueError` for a text written for another reader: in quotes, with a comment behind it, a placeholder."""
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'`":
        raise ValueError("written without the quotes around it")
    if " #" in text or "\t#" in text:
        raise ValueError("alone in its line; a comment needs a line of its own")
    if text[:1] in {"$", "<"} and re.fullmatch(_PLACEHOLDER, text):
        raise ValueError("the value itself: nothing here fills in $NAME, ${NAME} or <name>")


def boolean(text: str) -> bool:
    lower = text.lower()
    if lower in _TRUE:
        return True
    if lower in _FALSE:
        return False
    bare(text)
    raise ValueError("true or false")


def integer(low: int, high: int) -> Kind:
    def parse(text: str) -> int:
        digits = text.removeprefix("+")
        if digits.isascii() and digits.isdecimal() and len(digits) <= 18 and low <= (value := int(digits)) <= high:
            return value
        bare(text)
        raise ValueError(f"a whole number from {low} to {high}")

    return parse


def seconds(low: float, high: float) -> Kind:
    def parse(text: str) -> float:
        if re.fullmatch(r"\+?[0-9]{1,12}(\.[0-9]{1,6})?", text) and low <= (value := float(text)) <= high:
            return value
        bare(text)
        raise ValueError(f"seconds, a plain number from {low:g} to {high:.15g}")

    return parse


def size(low: int, high: int) -> Kind:
    """Make a kind for bytes, as a number or with a unit of 1024: 64MiB, 64M and 67108864 are the same."""

    def parse(text: str) -> int:
        match = _SIZE.fullmatch(text)
        if match and low <= (value := int(match[1]) * _UNITS[match[2].lower()]) <= high:
            return value
        bare(text)
        raise ValueError(f"a size from {shown_size(low)} to {shown_size(high)}, such as 64MiB, or a number of bytes")

    return parse


def shown_size(count: int) -> str:
    """Return bytes as people write them, in the largest unit that divides the count."""
    for unit, word in ((1024**4, "TiB"), (1024**3, "GiB"), (1024**2, "MiB"), (1024, "KiB")):
        if count and count % unit == 0:
            return f"{count // unit}{word}"
    return str(count)


def choice(*allowed: str) -> Kind:
    def parse(text: str) -> str:
        if (lower := text.lower()) in allowed:
            return lower
        bare(text)
        raise ValueError(" or ".join(allowed))

    return parse


def name(text: str) -> str:
    """Parse a model's name: one line of printable text."""
    bare(text)
    if len(text) <= 200 and text.isprintable():
        return text
    raise ValueError("one line of at most 200 printable characters")


def host(text: str) -> str:
    """Parse an address to listen on."""
    if text == "localhost":
        return text
    bare(text)
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


def prefix(text: str) -> str:
    """Parse the prefix of Redis keys; characters of hash tags and patterns would change the keys' meaning."""
    if re.fullmatch(r"[A-Za-z0-9._:-]{1,100}", text):
        return text
    raise ValueError("1 to 100 letters, digits or any of . _ : -")


def path(text: str) -> str:
    """Parse the absolute path of a file or folder."""
    bare(text)
    if text.startswith("/") and text.isprintable() and len(text) <= 4096:
        return text.rstrip("/") or "/"
    raise ValueError("a whole path, beginning with /")


def header(text: str) -> str:
    """Parse one word for an HTTP header: printable ASCII without spaces."""
    bare(text)
    if text.isascii() and text.isprintable() and 0 < len(text) <= 4096 and " " not in text:
        return text
    raise ValueError("printable ASCII without spaces")


def secret(text: str) -> str:
    """Parse a key or token, which an HTTP header carries."""
    bare(text)
    if ("=" in text or ":" in text) and re.match(_ASSIGNED, text):
        raise ValueError("the key or token alone, without NAME= before it")
    if text[:7].lower() == "bearer ":
        raise ValueError("the key or token alone, without the word Bearer before it")
    return header(text)


def json_object(text: str) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        value = None
    if isinstance(value, dict):
        return value
    raise ValueError('a JSON object, such as {"reasoning_effort": "low"}')


def processes(text: str) -> int:
    """Return a number of processes; `auto` is the number of processors that this process may use."""
    if text.lower() == "auto":
        return min(MOST_PROCESSES, len(os.sched_getaffinity(0)))
    try:
        found: int = integer(1, MOST_PROCESSES)(text)
    except ValueError as exc:
        raise ValueError(f"auto or {exc}") from None
    return found
