"""Tickets: the requests at the gate as the fair queue knows them, and the slots that their streams hold."""

from collections import Counter
from collections.abc import Callable
from typing import Final

import msgspec

from sidecar.core.errors import UpstreamFailure
from sidecar.core.reach import EVERY, Reach

Related = Callable[[Reach, Reach], bool]


class Earlier(msgspec.Struct, frozen=True):
    """A call's first attempt that a serving process made, and that failed."""

    failure: UpstreamFailure
    seconds: float


STREAMS_SHARE: Final = 0.75
"""Share of the slots that streams may hold while other calls wait: a stream holds its slot until its caller is done."""
USER_STREAMS_SHARE: Final = 0.5
"""Share of the slots that streams of one user may hold while others wait."""


class Ticket:
    """One request at the gate. The request's calls (one, or the parts of a long text) take its user's turns."""

    __slots__ = ("background", "earlier", "patient", "reach", "running", "started", "stream", "unattended", "user")

    def __init__(
        self,
        user: str,
        *,
        background: bool = False,
        patient: bool = False,
        reach: Reach = EVERY["interactive"],
        stream: bool = False,
        unattended: bool = False,
        earlier: Earlier | None = None,
    ) -> None:
        self.user = user
        self.earlier = earlier
        """The attempt that was made before, elsewhere; None once it was counted."""
        self.stream = stream
        """Flag: the call holds its slot for as long as its caller reads."""
        self.reach = reach
        """Providers that may have the request's texts."""
        self.background = background
        self.patient = patient
        """Flag: the request waits on where others are refused because they cannot be served in time."""
        self.unattended = unattended
        """Flag: nobody waits for the answer, as with jobs and batches."""
        self.started = False
        """Flag: a call of the request was granted already."""
        self.running = 0
        """Calls of the request that hold a slot now."""


class Streams:
    """Counts of the streams that hold a slot, by reach and by user.

    `related` says whether two reaches have a provider in common.
    """

    def __init__(self, related: Related = lambda _one, _other: True) -> None:
        self._related = related
        self._running: Counter[Reach] = Counter()
        self._by_user: Counter[str] = Counter()

    def began(self, ticket: Ticket) -> None:
        """Count a call that is a stream."""
        self._running[ticket.reach] += 1
        self._by_user[ticket.user] += 1

    def ended(self, ticket: Ticket) -> None:
        """Count a stream no more."""
        self._running[ticket.reach] -= 1
        if not self._running[ticket.reach]:
            del self._running[ticket.reach]
        self._by_user[ticket.user] -= 1
        if not self._by_user[ticket.user]:
            del self._by_user[ticket.user]

    def over_share(self, ticket: Ticket, slots: int) -> bool:
        """Return whether one stream more would be over a share of its reach's `slots`; one stream never is.

        Streams of related reaches count, since they may hold these slots too.
        """
        related = (count for reach, count in self._running.items() if self._related(ticket.reach, reach))
        streams, own = sum(related) + 1, self._by_user[ticket.user] + 1
        return (streams > 1 and streams > slots * STREAMS_SHARE) or (own > 1 and own > slots * USER_STREAMS_SHARE)
