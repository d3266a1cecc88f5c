"""Ports to what outlives or is shared by processes: the numbers of the day in a file, all counters in Redis."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from sidecar.core.quotas import Refusal, Scope


class Ledger(Protocol):
    """Port: the tokens of the day, by counter. Every method raises `Away`."""

    async def load(self, day: str) -> Mapping[str, int]:
        """Return the day's totals that the counters of this process need; none where the store counts itself."""
        ...

    async def add(self, day: str, spent: Mapping[str, int]) -> Mapping[str, int]:
        """Add tokens; return the day's totals of these counters."""
        ...

    async def aclose(self) -> None:
        """Close file or connections."""
        ...


class Count(NamedTuple):
    """A request that is to be counted at all `scopes`; with `hold` it is under way from then on, under its id."""

    scopes: Sequence[Scope]
    day: str
    ident: str
    hold: bool


class Store(Ledger, Protocol):
    """Port: counters of several sidecars. A request under way is forgotten where nothing renews it."""

    async def exchange(self, ended: Mapping[str, Sequence[str]], counts: Sequence[Count]) -> list[Refusal | None]:
        """Forget requests that `ended`, ids with their counters' names; then count each request or refuse it.

        A refusal is the limit that refuses longest, and nothing is counted then. Its `seconds` are 0 where the store
        cannot know them: calls at once, and the end of the day.
        """
        ...

    async def renew(self, running: Mapping[str, Sequence[str]]) -> None:
        """Hold on to requests under way: ids with their counters' names."""
        ...
