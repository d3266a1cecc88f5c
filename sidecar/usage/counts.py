"""Rows of the usage file: the key that requests are counted under, and what is counted."""

from typing import Final, NamedTuple

HOUR: Final = 3600


class Key(NamedTuple):
    """Key of a row. All but the user come from code and configuration."""

    hour: int
    """Start of the hour, in seconds since 1970."""
    action: str
    """Blank for a request refused before it was read."""
    route: str
    token: str
    """Name of the caller's token; blank without one."""
    provider: str
    """Name of the provider that answered; blank without PROVIDERS_FILE."""
    code: str
    """`ok`, `cancelled`, or the error's code."""
    user: str
    """Pseudonym; blank unless users are counted."""


class Counts(NamedTuple):
    """Sums over the requests of a key."""

    requests: int
    refused: int
    """Requests turned away before a provider call was tried."""
    shared: int
    """Answers without a provider call of their own."""
    calls: int
    """Provider calls, retries included."""
    prompt_tokens: int
    completion_tokens: int


Batch = dict[Key, Counts]
NAMES: Final = tuple(Key.__annotations__)
"""Columns of the key."""
SUMS: Final = tuple(Counts.__annotations__)
"""Columns of the sums."""
