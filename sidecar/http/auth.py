"""The token's guard: lets a request pass that carries the sidecar's token. Which routes ask for it, they decide."""

import base64
import binascii
import hashlib
import hmac
from typing import Final

from aiohttp import hdrs, web

from sidecar.core.errors import Unauthorized

API_KEY: Final = "api-key"


class Guard:
    """Knows the token, by its hash."""

    def __init__(self, token: str) -> None:
        # Hashes have one length: how long a comparison takes tells nothing of the token.
        self._expected = _digest(token.encode())

    def check(self, request: web.BaseRequest) -> None:
        """Raise `Unauthorized` unless `request` has the token: as Bearer, as the password of Basic, or as `api-key`.

        Basic, because the deployed communicator's curl sends it for a URL with a user and a password in it; `api-key`,
        because Azure's clients do.
        """
        shown = _shown(request.headers.get(hdrs.AUTHORIZATION, ""))
        key = request.headers.get(API_KEY, "").strip().encode("utf-8", "surrogateescape")
        # Both are looked at, whatever the first one was.
        if not any([self._fits(shown), self._fits(key)]):
            raise Unauthorized

    def _fits(self, shown: bytes) -> bool:
        return hmac.compare_digest(_digest(shown), self._expected)


def _shown(header: str) -> bytes:
    scheme, _, rest = header.strip().partition(" ")
    text = rest.strip().encode("utf-8", "surrogateescape")
    if scheme.lower() == "bearer":
        return text
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(text, validate=True).partition(b":")[2]
        except binascii.Error:
            return b""
    return b""


def _digest(secret: bytes) -> bytes:
    return hashlib.sha256(secret).digest()
