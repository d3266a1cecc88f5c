"""Fair queue: users in turn, inside a user first come first served, interactive before background.

Plain state, free of await, time and I/O, which are the gate's. Every operation is O(1) except passing over requests
that already hold their share.

Written out, as a priority queue fixes an item's place when the item comes: here each grant and each leaving moves
others, and admission needs the rank of a call before the call is queued.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from sidecar.core.ports import Traffic

Item = TypeVar("Item")

BACKGROUND_SHARE: Final = 16
"""Grants of which background gets one while interactive calls wait."""
STREAMS_SHARE: Final = 0.75
"""Share of the slots that streams may hold while other calls wait: a stream holds its slot until its caller is done."""
USER_STREAMS_SHARE: Final = 0.5
"""Share of the slots that streams of one user may hold while others wait."""


class Ticket:
    """One request at the gate. The request's calls (one, or the parts of a long text) take its user's turns."""

    __slots__ = ("background", "patient", "running", "started", "stream", "traffic", "user")

    def __init__(
        self,
        user: str,
        *,
        background: bool = False,
        patient: bool = False,
        traffic: Traffic = "interactive",
        stream: bool = False,
    ) -> None:
        self.user = user
        self.stream = stream
        """Flag: the call holds its slot for as long as its caller reads."""
        self.traffic: Traffic = traffic
        """Class of the request's texts, which says what providers may have them."""
        self.background = background
        self.patient = patient
        """Flag: the request waits on where others are refused because they cannot be served in time."""
        self.started = False
        """Flag: a call of the request was granted already."""
        self.running = 0
        """Calls of the request that hold a slot now."""


class Streams:
    """Counts of the streams that hold a slot."""

    def __init__(self) -> None:
        self._running = 0
        self._by_user: Counter[str] = Counter()

    def began(self, ticket: Ticket) -> None:
        """Count a call that is a stream."""
        self._running += 1
        self._by_user[ticket.user] += 1

    def ended(self, ticket: Ticket) -> None:
        """Count a stream no more."""
        self._running -= 1
        self._by_user[ticket.user] -= 1
        if not self._by_user[ticket.user]:
            del self._by_user[ticket.user]

    def over_share(self, ticket: Ticket, slots: int) -> bool:
        """Return whether one stream more would be over a share of the slots; one stream never is."""
        streams, own = self._running + 1, self._by_user[ticket.user] + 1
        return (streams > 1 and streams > slots * STREAMS_SHARE) or (own > 1 and own > slots * USER_STREAMS_SHARE)


class _User(Generic[Item]):
    __slots__ = ("fresh", "started", "waiting")

    def __init__(self) -> None:
        self.started: OrderedDict[Ticket, OrderedDict[int, Item]] = OrderedDict()
        self.fresh: OrderedDict[Ticket, OrderedDict[int, Item]] = OrderedDict()
        self.waiting = 0

    def tickets(self) -> list[OrderedDict[Ticket, OrderedDict[int, Item]]]:
        return [self.started, self.fresh]


class _Lane(Generic[Item]):
    """One class of callers: a ring of users, each with its waiting requests."""

    def __init__(self, classes: Counter[Traffic], streams: Streams) -> None:
        self._streams = streams
        self.users: OrderedDict[str, _User[Item]] = OrderedDict()
        self.size = 0
        self._classes = classes
        self.depths: list[int] = [0]
        """`depths[n]` users wait for at least n calls; ranks are sums of these counts."""

    def push(self, ticket: Ticket, key: int, item: Item, *, resumed: bool) -> None:
        user = self.users.get(ticket.user)
        if user is None:
            user = self.users[ticket.user] = _User()
        ticket.started = ticket.started or resumed
        queue = user.started if ticket.started else user.fresh
        calls = queue.get(ticket)
        if calls is None:
            calls = queue[ticket] = OrderedDict()
        calls[key] = item
        if resumed:
            calls.move_to_end(key, last=False)
            queue.move_to_end(ticket, last=False)
            self.users.move_to_end(ticket.user, last=False)
        user.waiting += 1
        self.size += 1
        self._classes[ticket.traffic] += 1
        if len(self.depths) <= user.waiting:
            self.depths.append(0)
        self.depths[user.waiting] += 1

    def remove(self, ticket: Ticket, key: int) -> bool:
        user = self.users.get(ticket.user)
        if user is None:
            return False
        for queue in user.tickets():
            calls = queue.get(ticket)
            if calls is not None and calls.pop(key, None) is not None:
                self._removed(ticket, user, queue)
                return True
        return False

    def pop(self, slots: int | None, fits: Callable[[Item], bool] | None) -> Item | None:
        """Return the next call, passing over what already holds its share of `slots` (None: passing over nothing).

        Requests whose first call does not fit are passed over too.
        """
        share = None if slots is None else max(1, slots // 4)
        for user in self.users.values():
            for queue in user.tickets():
                for ticket, calls in queue.items():
                    if slots is not None and ticket.stream and self._streams.over_share(ticket, slots):
                        continue
                    if (share is None or ticket.running < share) and (fits is None or fits(next(iter(calls.values())))):
                        return self._take(user, ticket, queue, share)
        return None

    def _take(
        self,
        user: _User[Item],
        ticket: Ticket,
        queue: OrderedDict[Ticket, OrderedDict[int, Item]],
        share: int | None,
    ) -> Item:
        calls = queue[ticket]
        _, item = calls.popitem(last=False)
        ticket.running += 1
        if ticket.stream:
            self._streams.began(ticket)
        self._removed(ticket, user, queue)
        if not ticket.started:
            ticket.started = True
            if calls:
                user.started[ticket] = user.fresh.pop(ticket)
        # All waiting parts of one request are one turn; then the next user has the turn.
        turn_over = not calls or (share is not None and ticket.running >= share)
        if user.waiting:
            self.users.move_to_end(ticket.user, last=turn_over)
        return item

    def _removed(self, ticket: Ticket, user: _User[Item], queue: OrderedDict[Ticket, OrderedDict[int, Item]]) -> None:
        if not queue[ticket]:
            del queue[ticket]
        self.depths[user.waiting] -= 1
        user.waiting -= 1
        self.size -= 1
        self._classes[ticket.traffic] -= 1
        if not user.waiting:
            del self.users[ticket.user]
        while len(self.depths) > 1 and not self.depths[-1]:
            self.depths.pop()

    def order(self) -> list[Item]:
        """Return the calls in the order of their grants, as if no call came and shares were unbounded."""
        rows = [
            [item for queue in user.tickets() for calls in queue.values() for item in calls.values()]
            for user in self.users.values()
        ]
        ordered, turn = [], 0
        while rows:
            ordered += [row[turn] for row in rows]
            turn += 1
            rows = [row for row in rows if turn < len(row)]
        return ordered

    def rank(self, user: str) -> int:
        """Count the calls that go before a new one of `user`, if turns go on as now."""
        known = self.users.get(user)
        turn = known.waiting + 1 if known is not None else 1
        return sum(self.depths[1 : turn + 1])


class FairQueue(Generic[Item]):
    """Calls that wait for a slot, in the order of their grants."""

    def __init__(self) -> None:
        self.classes: Counter[Traffic] = Counter()
        """Waiting calls by class."""
        self._streams = Streams()
        self._interactive: _Lane[Item] = _Lane(self.classes, self._streams)
        self._background: _Lane[Item] = _Lane(self.classes, self._streams)
        self._since_background = 0
        self._keys = 0

    def __len__(self) -> int:
        return self._interactive.size + self._background.size

    @property
    def background(self) -> int:
        """Count the waiting background calls."""
        return self._background.size

    def push(self, ticket: Ticket, item: Item, *, resumed: bool = False) -> int:
        """Queue a call; return the key for `remove`. `resumed` keeps the turn that the request already had."""
        self._keys += 1
        self._lane(ticket).push(ticket, self._keys, item, resumed=resumed)
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
        return self._lane(ticket).remove(ticket, key)

    def pop(self, slots: int, fits: Callable[[Item], bool] | None = None) -> Item | None:
        """Return the next call that fits and count it as running; None where there is none.

        While others wait, one request holds at most a quarter of `slots`, streams three, those of one user two.
        """
        if not self:
            return None
        first, second = self._order()
        for lane, bound in ((first, slots), (second, slots), (first, None), (second, None)):
            if lane.size and (item := lane.pop(bound, fits)) is not None:
                self._since_background = 0 if lane is self._background else self._since_background + 1
                return item
        return None

    def ended(self, ticket: Ticket) -> None:
        """Count a call of the request that has given its slot back."""
        ticket.running -= 1
        if ticket.stream:
            self._streams.ended(ticket)

    def rank(self, user: str, *, background: bool = False) -> int:
        """Count the waiting calls that go before a new one of `user`, if turns go on as now."""
        if background:
            return self._interactive.size + self._background.rank(user)
        ahead = self._interactive.rank(user)
        return ahead + min(self._background.size, ahead // (BACKGROUND_SHARE - 1))

    def order(self) -> list[Item]:
        """Return the calls in the expected order of their grants: background after all interactive calls."""
        return self._interactive.order() + self._background.order()

    def _lane(self, ticket: Ticket) -> _Lane[Item]:
        return self._background if ticket.background else self._interactive

    def _order(self) -> tuple[_Lane[Item], _Lane[Item]]:
        due = self._since_background >= BACKGROUND_SHARE - 1
        if due and self._background.size:
            return self._background, self._interactive
        return self._interactive, self._background
