"""Where provider calls go: the one address made of OPENAI_BASE_URL, in the pieces that HTTP needs.

Pure text, cheap to import. Proxies and certificates live in route.py.
"""

from typing import Final
from urllib.parse import urlsplit

import msgspec

_PATH: Final = "/chat/completions"


class Endpoint(msgspec.Struct, frozen=True):
    """The address of the provider's chat completions."""

    url: str
    """Whole, without user and password; a query string may hold a key, so never show it."""
    secure: bool
    host: str
    """The host to connect to; an IPv6 address without brackets."""
    port: int
    authority: str
    """Host and, where one is named, port, as the Host header has them. The only part a sentence may name."""
    target: str
    """Path and query string."""


def endpoint(base_url: str) -> Endpoint:
    """The endpoint of a base URL that ends in `/`, in `/v1` or already in `/chat/completions`; its query is kept.

    User and password in it are dropped: the key is the credential, and a request has room for one.
    """
    parts = urlsplit(base_url)
    path = parts.path.rstrip("/")
    if not path.endswith(_PATH):
        path += _PATH
    target = f"{path}?{parts.query}" if parts.query else path
    secure = parts.scheme == "https"
    authority = parts.netloc.rpartition("@")[2]
    return Endpoint(
        url=f"{parts.scheme}://{authority}{target}",
        secure=secure,
        host=parts.hostname or "",
        port=parts.port or (443 if secure else 80),
        authority=authority,
        target=target,
    )
