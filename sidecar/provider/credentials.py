"""Key that provider calls carry, and the header for it. key_file.py and entra.py hold keys that change."""

from collections.abc import Mapping
from typing import Final

from sidecar.core.errors import UpstreamAuth

AUTHORIZATION: Final = "Authorization"


class Credentials:
    """A key that stays, and the header for it."""

    def __init__(self, key: str, header: str = AUTHORIZATION) -> None:
        self._key = key
        self._header = header

    @property
    def secrets(self) -> tuple[str, ...]:
        """Keys that calls in flight may carry, which must never be shown."""
        return (self._key,) if self._key else ()

    async def key(self) -> str:
        """Return the key for the next call; blank for none. Raises `UpstreamAuth`."""
        return self._key

    def refused(self, status: int | None) -> UpstreamAuth:
        """Return the error for a call that the provider refused for its key."""
        return UpstreamAuth(status=status)

    async def headers(self) -> Mapping[str, str]:
        """Return the header for the next call; none without a key. Raises `UpstreamAuth`."""
        key = await self.key()
        if not key:
            return {}
        return {self._header: f"Bearer {key}" if self._header == AUTHORIZATION else key}
