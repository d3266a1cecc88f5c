"""What a client of the provider reads: one HTTP response."""

from collections.abc import Mapping

import msgspec


class Answer(msgspec.Struct, frozen=True):
    """One HTTP response of a provider, read whole."""

    status: int
    headers: Mapping[str, str]
    """Asked by lower-case names."""
    body: bytes
