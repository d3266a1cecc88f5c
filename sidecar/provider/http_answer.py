"""Answer of a provider: one HTTP response, read whole."""

from collections.abc import Mapping

import msgspec


class Answer(msgspec.Struct, frozen=True):
    """One HTTP response of a provider, read whole."""

    status: int
    headers: Mapping[str, str]
    """Headers under lower-case names."""
    body: bytes
