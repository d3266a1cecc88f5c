"""Tokens of Microsoft Entra ID for Azure, in place of a key: fetched in a thread, used until shortly before their end.

azure-identity finds out who this machine is: a managed or workload identity, or the AZURE_… variables of a service
principal. The package is an extra, and loads in the thread.
"""

import asyncio
import importlib.util
import time
from collections.abc import Callable
from typing import Final, Protocol

from sidecar.core import events
from sidecar.core.errors import ConfigError, UpstreamAuth
from sidecar.provider.credentials import Credentials
from sidecar.provider.endpoint import Endpoint
from sidecar.runtime.daemon_thread import in_daemon_thread

_EARLY_SECONDS: Final = 300.0
"""Seconds before its end at which a token is renewed; a short one at half of its time."""
_PAUSE_SECONDS: Final = 10.0
"""Seconds between two fetches, at least: a shorter life or a failure starts no stampede."""


class Token(Protocol):
    """A token, as azure-core describes it."""

    @property
    def token(self) -> str: ...
    @property
    def expires_on(self) -> int:
        """End of the token, in seconds of the wall clock."""
        ...


class Credential(Protocol):
    """A source of tokens, as azure-core describes it."""

    def get_token(self, *scopes: str) -> Token: ...


class TokenError(Exception):
    """No token was given; the message is the name of the cause's class."""


def entra_token(where: Endpoint) -> "EntraToken":
    """Return the tokens for `where`. Raises `ConfigError` without azure-identity."""
    if importlib.util.find_spec("azure") is None or importlib.util.find_spec("azure.identity") is None:
        raise ConfigError(
            ["AZURE_AUTH=entra: needs azure-identity beside the sidecar (pip install 'azure-identity>=1.25,<2')"]
        )
    ending = next((end for end in ("us", "cn") if where.host.endswith(f".azure.{end}")), "com")
    return EntraToken(_default_credential, f"https://cognitiveservices.azure.{ending}/.default")


class EntraToken(Credentials):
    """A token that is renewed: calls go on with the old one meanwhile, and wait only where there is none."""

    def __init__(
        self, open_credential: Callable[[], Credential], scope: str, *, clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__("")
        self._open = open_credential
        self._scope = scope
        self._clock = clock
        self._credential: Credential | None = None
        self._renewal: asyncio.Task[None] | None = None
        self._renew_at = self._good_until = 0.0
        self._before = ""
        self._cause = ""

    @property
    def secrets(self) -> tuple[str, ...]:
        return tuple(filter(None, (self._key, self._before)))

    async def key(self) -> str:
        """Return a token that is good now. Raises `UpstreamAuth` if none can be had."""
        if self._renewal is None and self._clock() >= self._renew_at:
            self._renewal = asyncio.create_task(self._renew(), name="renew the token for Azure")
        if self._renewal is not None and self._clock() >= self._good_until:
            await asyncio.shield(self._renewal)  # the renewal goes on for others after a caller left
        if self._clock() >= self._good_until:
            raise UpstreamAuth(
                f"Microsoft Entra ID gave no token for Azure ({self._cause}); the administrator should check this "
                "machine's identity and its AZURE_ variables."
            )
        return self._key

    def refused(self, status: int | None) -> UpstreamAuth:
        """Return the error for a token that was given and refused: the identity lacks its role."""
        return UpstreamAuth(
            "Azure refused the token; the administrator should give this machine's identity the role Cognitive "
            "Services OpenAI User on the resource.",
            status=status,
        )

    async def _renew(self) -> None:
        self._renew_at = self._clock() + _PAUSE_SECONDS
        try:
            found = await in_daemon_thread(self._fetch, "renew the token for Azure", (TokenError,))
        except TokenError as exc:
            self._renew_at = self._clock() + _PAUSE_SECONDS
            self._cause = str(exc)
            events.warning("token_refused", reason=self._cause, note="no new token for Azure; the next try is in 10 s")
        else:
            self._take(found)
        finally:
            self._renewal = None

    def _take(self, found: Token) -> None:
        now = self._clock()
        life = found.expires_on - now
        self._before, self._key = self._key, found.token
        # Clocks differ between machines: a new token is good for a moment, whatever this machine's clock says.
        self._good_until = now + max(life, _PAUSE_SECONDS)
        self._renew_at = now + max(life - _EARLY_SECONDS, life / 2, _PAUSE_SECONDS)

    def _fetch(self) -> Token:
        from azure.core.exceptions import AzureError  # noqa: PLC0415 - heavy, so in the thread

        try:
            if self._credential is None:
                self._credential = self._open()
            return self._credential.get_token(self._scope)
        except (AzureError, OSError, ValueError) as exc:
            raise TokenError(type(exc).__name__) from exc


def _default_credential() -> Credential:
    import logging  # noqa: PLC0415 - as below

    from azure.identity import DefaultAzureCredential  # noqa: PLC0415 - takes about a second

    logging.getLogger("azure").setLevel(logging.CRITICAL + 1)  # its lines name accounts and addresses
    return DefaultAzureCredential()
