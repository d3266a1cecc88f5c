"""Authentication by the sidecar's own token, or by a named one. Each route decides whether it requires one."""

import base64
import binascii
import hashlib
import hmac
from typing import Final, Protocol

from aiohttp import hdrs

from sidecar.config.tokens import NamedToken
from sidecar.core.errors import Unauthorized
from sidecar.core.quotas import Way
from sidecar.http.request import Arrival

API_KEY: Final = "api-key"
_NOT_HERE: Final = "This token is not for this address."


class Named(Protocol):
    """Port: the named tokens in force, which may change."""

    tokens: tuple[NamedToken, ...]


class Guard:
    """Checks the tokens of requests for the route `way`. Only hashes of tokens stay in memory.

    `token` is the sidecar's own, blank for none. Without `required` a caller may send no token, or an unknown one.
    """

    def __init__(self, token: str, named: Named | None = None, *, way: Way = "status", required: bool = True) -> None:
        # Hashes have one length: the time that a comparison takes reveals nothing of the token.
        self._expected = _digest(token.encode()) if token else b""
        self._named = named
        self._way = way
        self._required = required

    @property
    def armed(self) -> bool:
        """Return whether there is a token at all."""
        return bool(self._expected or (self._named is not None and self._named.tokens))

    def check(self, request: Arrival) -> None:
        """Raise `Unauthorized` unless `request` has a token: as Bearer, as the password of Basic, or as `api-key`.

        The deployed communicator's curl sends Basic for a URL with a user and a password in it; Azure's clients send
        `api-key`. A named token's name, class and providers are then the
        request's.
        """
        own, found = self._look(request)
        if found is not None:
            request.token, request.background, request.providers = found.name, found.background, found.providers
            if self._way not in found.routes:
                raise Unauthorized(_NOT_HERE)
        elif not own and self._required and self.armed:
            raise Unauthorized

    def knows(self, request: Arrival) -> bool:
        """Return whether `request` has the sidecar's own token or a named one, whatever the route."""
        own, found = self._look(request)
        return own or found is not None

    def _look(self, request: Arrival) -> tuple[bool, NamedToken | None]:
        if hdrs.AUTHORIZATION not in request.headers and API_KEY not in request.headers:
            return False, None  # the deployed communicator's requests; there is nothing whose time could tell
        credential = _credential(request.headers.get(hdrs.AUTHORIZATION, ""))
        key = request.headers.get(API_KEY, "").strip().encode("utf-8", "surrogateescape")
        # Both are compared with every token in every case, so that the time reveals nothing of any.
        digests = _digest(credential), _digest(key)
        own = hmac.compare_digest(digests[0], self._expected) | hmac.compare_digest(digests[1], self._expected)
        return own, self._find(digests)

    def _find(self, digests: tuple[bytes, bytes]) -> NamedToken | None:
        (bearer, key), found = digests, None
        for token in self._named.tokens if self._named is not None else ():
            if hmac.compare_digest(bearer, token.digest) | hmac.compare_digest(key, token.digest):
                found = token
        return found


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
