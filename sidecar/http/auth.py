"""Authentication by the sidecar's token. Each route decides whether it requires one."""

import base64
import binascii
import hashlib
import hmac
from typing import Final

from aiohttp import hdrs, web

from sidecar.core.errors import Unauthorized

API_KEY: Final = "api-key"


class Guard:
    """Checks requests for the token, of which only the hash stays in memory."""

    def __init__(self, token: str) -> None:
        # Hashes have one length: the time that a comparison takes reveals nothing of the token.
        self._expected = _digest(token.encode())

    def check(self, request: web.BaseRequest) -> None:
        """Raise `Unauthorized` unless `request` has the token: as Bearer, as the password of Basic, or as `api-key`.

        The deployed communicator's curl sends Basic for a URL with a user and a password in it; Azure's clients send
        `api-key`.
        """
        credential = _credential(request.headers.get(hdrs.AUTHORIZATION, ""))
        key = request.headers.get(API_KEY, "").strip().encode("utf-8", "surrogateescape")
        # Both are compared in every case, so that the time reveals nothing of the first one.
        if not any([self._matches(credential), self._matches(key)]):
            raise Unauthorized

    def _matches(self, credential: bytes) -> bool:
        return hmac.compare_digest(_digest(credential), self._expected)


def _credential(header: str) -> bytes:
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
