"""Parts of one of several serving processes: what its parent says, and turns at the listening socket."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple, Protocol

from sidecar.engine.readiness import Check
from sidecar.http.dashboard.feed import Feed


class Turns(Protocol):
    """Port: shares new connections among processes that accept from one socket."""

    def wait(self, connections: int) -> float:
        """Return the seconds for which the others may accept first, 0 for none; `connections` are open here."""
        ...

    def count(self, connections: int) -> None:
        """Record how many connections are open here."""
        ...

    def stop(self) -> None:
        """Record that this process accepts no more."""
        ...


class Relayed(NamedTuple):
    """Parts of one of several serving processes."""

    status: Callable[[], Awaitable[bytes]]
    """Returns the body of /status, of all processes together."""
    provider: Callable[[], Check]
    """Returns the state of the providers, as GET /ready shows it."""
    feed: Feed
    turns: Turns
