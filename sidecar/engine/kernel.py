"""What everything that asks the provider stands on: one gate and limit, one single flight, one way to make keys."""

from collections.abc import Callable

import msgspec

from sidecar.engine.keys import Keys
from sidecar.engine.limiter.calls import Calls
from sidecar.engine.single_flight import SingleFlight


class Kernel(msgspec.Struct, frozen=True, kw_only=True):
    """The parts that engine, completions and background share."""

    calls: Calls
    """The provider, behind gate and limit."""
    flights: SingleFlight
    """Single flight and the answers that are kept."""
    keys: Keys
    """Under which key an answer may be shared."""
    hashed: Callable[[str], str] | None = None
    """Makes a user's pseudonym; None where the provider is told nothing."""

    def pseudonym(self, user: str) -> str:
        """What the provider may know of `user`; blank for nothing."""
        return self.hashed(user) if self.hashed is not None and user else ""
