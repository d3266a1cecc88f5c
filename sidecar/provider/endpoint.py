"""Endpoint of provider calls: the address made of OPENAI_BASE_URL, in the pieces that HTTP needs.

Pure text, cheap to import. Proxies and certificates are in proxy.py.
"""

from typing import Final
from urllib.parse import urlsplit

import msgspec

_PATH: Final = "/chat/completions"


class Endpoint(msgspec.Struct, frozen=True):
    """The address of the provider's chat completions."""

    url: str
    """The whole address without user and password; never to be shown, since its query string may hold a key."""
    secure: bool
    host: str
    """The host to connect to; an IPv6 address without brackets."""
    port: int
    authority: str
    """Host, with the port where the address names one, as in the Host header. Sentences may name this part only."""
    target: str
    """Path and query string."""


def endpoint(base_url: str) -> Endpoint:
    """Return the endpoint of a base URL that ends in `/`, in `/v1` or already in `/chat/completions`, with its query.

    User and password are dropped: the key is the credential, and a request carries only one.
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
