"""Bytes that are no request: the path they seem to be for, and the refusal that they get."""

import re
from typing import Final

from aiohttp.http_exceptions import LineTooLong

from sidecar.core.errors import BadHTTP, SidecarError, WrongVersion

LINE_SEEN: Final = 128
"""First bytes of a request that are searched for its path and version if the request cannot be parsed."""

_OTHER_VERSION: Final = re.compile(rb"[^\r\n]* HTTP/(?!1\.[01])[0-9]\.[0-9]\r?\n")
"""Request line of a version that is not served; the first bytes of HTTP/2 are one too (RFC 9113, 3.4)."""


def path_of(line: bytes) -> str:
    """Return the path in the first bytes of a request."""
    parts = line.partition(b"\r\n")[0].split(b" ", 2)
    return parts[1].partition(b"?")[0].decode("latin-1") if len(parts) > 1 else ""


def too_long(exc: BaseException | None) -> bool:
    """Return whether the library's parser refused a line for its length, or headers for their number."""
    return isinstance(exc, LineTooLong) or "Too many headers" in str(exc)


def refusal_of(exc: BaseException | None, line: bytes) -> SidecarError:
    """Return the refusal for an error of the library's parser; `line` has the first bytes of the request."""
    if "Invalid HTTP version" in str(exc) or _OTHER_VERSION.match(line):
        return WrongVersion()
    return BadHTTP("The request's address or headers are too long.") if too_long(exc) else BadHTTP()
