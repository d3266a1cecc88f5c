"""Fair queue: users in turn, inside a user first come first served, interactive before background.

Plain state, free of await, time and I/O, which are the gate's. Calls wait in lanes by reach, with turns in common, so
that those whose providers have no room hold up nobody. Every operation is O(1) in the calls that wait, and O(lanes),
except passing over requests that already hold their share.

Written out, as a priority queue fixes an item's place when the item comes: here each grant and each leaving moves
others, and admission needs the rank of a call before the call is queued.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Final, Generic

from sidecar.core.reach import EVERY, Reach
from sidecar.engine.limiter.lane import Item, Lane, Turns, in_order, in_turn
from sidecar.engine.limiter.ticket import Streams, Ticket

BACKGROUND_SHARE: Final = 16
"""Grants of which background gets one while interactive calls wait."""

Weight = Callable[[Reach], float]
"""Maps a reach to the part of its calls that count, 0 to 1."""
Slots = Callable[[Reach], int]
"""Maps a reach to the slots of its providers, 0 where none of them has room."""


class _Class(Generic[Item]):
    """Interactive or background callers: lanes by reach, with turns in common."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self._turns = Turns()
        self.lanes: dict[Reach, Lane[Item]] = {}
        self.size = 0

    def push(self, ticket: Ticket, key: int, item: Item, *, resumed: bool) -> None:
        lane = self.lanes.get(ticket.reach)
        if lane is None:
            lane = self.lanes[ticket.reach] = Lane(ticket.reach, self._turns, self._streams)
        lane.push(ticket, key, item, resumed=resumed)
        self.size += 1

    def remove(self, ticket: Ticket, key: int) -> bool:
        lane = self.lanes.get(ticket.reach)
        if lane is None or not lane.remove(ticket, key):
            return False
        self._left(lane)
        return True

    def with_room(self, slots: Slots) -> list[tuple[Lane[Item], int]]:
        """Return the lanes whose providers have room, each with its slots."""
        return [(lane, most) for lane in self.lanes.values() if (most := slots(lane.reach))]

    def pop(
        self, lanes: Sequence[tuple[Lane[Item], int]], fits: Callable[[Item], bool] | None, *, bounded: bool
    ) -> Item | None:
        """Return the next call of these lanes, each with the slots of its reach."""
        slots = {lane.reach: most if bounded else None for lane, most in lanes}
        for lane, user in in_turn([lane for lane, _ in lanes]):
            if (item := lane.offer(user, slots[lane.reach], fits)) is not None:
                lane.passed = 0
                self._left(lane)
                return item
        return None

    def _left(self, lane: Lane[Item]) -> None:
        self.size -= 1
        if not lane.size:
            del self.lanes[lane.reach]

    def rank(self, user: str, reach: Reach, weight: Weight) -> float:
        """Count the calls that go before a new one of `user`, each with its lane's weight, if turns go on as now."""
        own = self.lanes.get(reach)
        turn = own.turn_of(user) if own is not None else 1
        return sum(weight(lane.reach) * lane.ahead(turn) for lane in self.lanes.values())

    def weighed(self, weight: Weight) -> float:
        """Count all calls, each with its lane's weight."""
        return sum(weight(lane.reach) * lane.size for lane in self.lanes.values())


class FairQueue(Generic[Item]):
    """Calls that wait for a slot, in the order of their grants."""

    def __init__(self, streams: Streams | None = None) -> None:
        self._streams = streams or Streams()
        self._interactive: _Class[Item] = _Class(self._streams)
        self._background: _Class[Item] = _Class(self._streams)
        self._since_background = 0
        self._keys = 0

    def __len__(self) -> int:
        return self._interactive.size + self._background.size

    @property
    def reaches(self) -> Collection[Reach]:
        """Return the reaches of the waiting calls."""
        interactive, background = self._interactive.lanes, self._background.lanes
        return {**interactive, **background} if background else interactive.keys()

    def waiting(self, weight: Weight) -> float:
        """Count the waiting calls, each with its reach's weight."""
        return self._interactive.weighed(weight) + self._background.weighed(weight)

    def push(self, ticket: Ticket, item: Item, *, resumed: bool = False) -> int:
        """Queue a call; return the key for `remove`. `resumed` keeps the turn that the request already had."""
        self._keys += 1
        self._class(ticket).push(ticket, self._keys, item, resumed=resumed)
        return self._keys

    def passed(self, ticket: Ticket) -> None:
        """Count as running a call that is granted while none waits, as `push` and `pop` in one would."""
        ticket.running += 1
        ticket.started = True
        if ticket.stream:
            self._streams.began(ticket)
        self._since_background = 0 if ticket.background else self._since_background + 1

    def remove(self, ticket: Ticket, key: int) -> bool:
        """Take a call out; return whether the call was still queued."""
        return self._class(ticket).remove(ticket, key)

    def pop(self, slots: Slots, fits: Callable[[Item], bool] | None = None) -> Item | None:
        """Return the next call that fits and count it as running; None where there is none.

        While others wait, one request holds at most a quarter of its `slots`, streams three, those of one user two.
        """
        interactive, background = self._interactive.with_room(slots), self._background.with_room(slots)
        due = self._due(background) if background else []
        for bounded in (True, False):
            if due and (item := self._background.pop(due, fits, bounded=bounded)) is not None:
                self._since_background = 0
                return item
            if interactive and (item := self._interactive.pop(interactive, fits, bounded=bounded)) is not None:
                self._since_background += 1
                for lane, _ in background:
                    lane.passed += 1
                return item
            if background and (item := self._background.pop(background, fits, bounded=bounded)) is not None:
                self._since_background = 0
                return item
        return None

    def _due(self, lanes: list[tuple[Lane[Item], int]]) -> list[tuple[Lane[Item], int]]:
        """Return the background lanes whose turn has come: all after so many grants, or one that was passed over.

        A lane of few providers may have had no room each time that background was due.
        """
        least = BACKGROUND_SHARE - 1
        if self._since_background >= least:
            return lanes
        patient = least * len(self._background.lanes)
        return [(lane, most) for lane, most in lanes if lane.passed >= patient]

    def ended(self, ticket: Ticket) -> None:
        """Count a call of the request that has given its slot back."""
        ticket.running -= 1
        if ticket.stream:
            self._streams.ended(ticket)

    def rank(
        self,
        user: str,
        reach: Reach = EVERY["interactive"],
        *,
        background: bool = False,
        weight: Weight = lambda _: 1.0,
    ) -> float:
        """Count the waiting calls that go before a new one of `user`, if turns go on as now.

        `weight` says how much the calls of each reach count.
        """
        if background:
            return self._interactive.weighed(weight) + self._background.rank(user, reach, weight)
        ahead = self._interactive.rank(user, reach, weight)
        return ahead + min(self._background.weighed(weight), ahead // (BACKGROUND_SHARE - 1))

    def order(self, reaches: Collection[Reach] | None = None) -> list[Item]:
        """Return the calls of these reaches in the expected order of their grants; background comes last."""
        return [
            item
            for of in (self._interactive, self._background)
            for item in in_order([lane for lane in of.lanes.values() if reaches is None or lane.reach in reaches])
        ]

    def _class(self, ticket: Ticket) -> _Class[Item]:
        return self._background if ticket.background else self._interactive
