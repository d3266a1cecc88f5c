"""Lanes of the fair queue: the waiting calls of one reach, a ring of users, and the turns that several lanes share.

Plain state, free of await, time and I/O. A lane is passed over at once where no provider of its reach has room, however
many calls wait in it.
"""

import heapq
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Generic, TypeVar

from sidecar.core.reach import Reach
from sidecar.engine.limiter.ticket import Streams, Ticket

Item = TypeVar("Item")


class Turns:
    """Numbers by which users of several lanes are in one order: the lowest has the next turn."""

    def __init__(self) -> None:
        self._first = self._last = 0

    def behind(self) -> int:
        """Return the turn behind all others."""
        self._last += 1
        return self._last

    def ahead(self) -> int:
        """Return the turn before all others."""
        self._first -= 1
        return self._first


class Calls(Generic[Item]):
    """Waiting calls of one request, in order: nearly always one, for which a dict would take six times the memory."""

    __slots__ = ("_first", "_key", "_more")

    def __init__(self, key: int, item: Item) -> None:
        self._key = key
        self._first = item
        self._more: OrderedDict[int, Item] | None = None
        """All of them once there are several, and until there are none."""

    def __bool__(self) -> bool:
        return self._key != 0 if self._more is None else bool(self._more)

    def __iter__(self) -> Iterator[Item]:
        if self._more is not None:
            return iter(self._more.values())
        return iter((self._first,) if self._key else ())

    def add(self, key: int, item: Item, *, first: bool) -> None:
        """Add a call behind the others, or before them."""
        if self._more is None:
            self._more = OrderedDict({self._key: self._first})
        self._more[key] = item
        self._more.move_to_end(key, last=not first)

    def take(self) -> Item:
        """Take the first call out."""
        if self._more is not None:
            return self._more.popitem(last=False)[1]
        self._key = 0
        return self._first

    def remove(self, key: int) -> bool:
        """Take a call out; return whether it was here."""
        if self._more is not None:
            return self._more.pop(key, None) is not None
        if self._key != key:
            return False
        self._key = 0
        return True


Queue = OrderedDict[Ticket, Calls[Item]]


class User(Generic[Item]):
    """Waiting requests of one user, those that had a grant before the fresh ones."""

    __slots__ = ("_fresh", "_started", "turn", "waiting")

    def __init__(self, turn: int) -> None:
        self._started: Queue[Item] | None = None
        self._fresh: Queue[Item] | None = None
        self.waiting = 0
        self.turn = turn

    def of(self, ticket: Ticket) -> Queue[Item]:
        """Return the requests among which this one waits; most users never have both kinds."""
        if ticket.started:
            if self._started is None:
                self._started = OrderedDict()
            return self._started
        if self._fresh is None:
            self._fresh = OrderedDict()
        return self._fresh

    def queues(self) -> list[Queue[Item]]:
        """Return the requests of either kind."""
        return [queue for queue in (self._started, self._fresh) if queue]


class Lane(Generic[Item]):
    """Waiting calls of one reach: a ring of users, in the order of their turns."""

    def __init__(self, reach: Reach, turns: Turns, streams: Streams) -> None:
        self.reach = reach
        self._turns = turns
        self._streams = streams
        self.users: OrderedDict[str, User[Item]] = OrderedDict()
        self.size = 0
        self.passed = 0
        """Grants of calls of a better class since the lane's last one, each of which the lane could have had."""
        self._depths: list[int] = [0]
        """`_depths[n]` users wait for at least n calls; ranks are sums of these counts."""

    def push(self, ticket: Ticket, key: int, item: Item, *, resumed: bool) -> None:
        """Queue a call; `resumed` puts it before all others."""
        user = self.users.get(ticket.user)
        if user is None:
            user = self.users[ticket.user] = User(self._turns.behind())
        ticket.started = ticket.started or resumed
        queue = user.of(ticket)
        calls = queue.get(ticket)
        if calls is None:
            queue[ticket] = Calls(key, item)
        else:
            calls.add(key, item, first=resumed)
        if resumed:
            queue.move_to_end(ticket, last=False)
            self._move(ticket.user, user, last=False)
        user.waiting += 1
        self.size += 1
        if len(self._depths) <= user.waiting:
            self._depths.append(0)
        self._depths[user.waiting] += 1

    def remove(self, ticket: Ticket, key: int) -> bool:
        """Take a call out; return whether the call was still queued."""
        user = self.users.get(ticket.user)
        if user is None:
            return False
        for queue in user.queues():
            calls = queue.get(ticket)
            if calls is not None and calls.remove(key):
                self._removed(ticket, user, queue)
                return True
        return False

    def offer(self, user: User[Item], slots: int | None, fits: Callable[[Item], bool] | None) -> Item | None:
        """Take the user's next call, passing over what already holds its share of `slots` (None: over nothing).

        Requests whose first call does not fit are passed over too.
        """
        share = None if slots is None else max(1, slots // 4)
        for queue in user.queues():
            for ticket, calls in queue.items():
                if slots is not None and ticket.stream and self._streams.over_share(ticket, slots):
                    continue
                if (share is None or ticket.running < share) and (fits is None or fits(next(iter(calls)))):
                    return self._take(user, ticket, queue, share)
        return None

    def _take(self, user: User[Item], ticket: Ticket, queue: Queue[Item], share: int | None) -> Item:
        calls = queue[ticket]
        item = calls.take()
        ticket.running += 1
        if ticket.stream:
            self._streams.began(ticket)
        self._removed(ticket, user, queue)
        if not ticket.started:
            ticket.started = True
            if calls:
                user.of(ticket)[ticket] = queue.pop(ticket)
        # All waiting parts of one request are one turn; then the next user has the turn.
        turn_over = not calls or (share is not None and ticket.running >= share)
        if user.waiting:
            self._move(ticket.user, user, last=turn_over)
        return item

    def _move(self, name: str, user: User[Item], *, last: bool) -> None:
        self.users.move_to_end(name, last=last)
        user.turn = self._turns.behind() if last else self._turns.ahead()

    def _removed(self, ticket: Ticket, user: User[Item], queue: Queue[Item]) -> None:
        if not queue[ticket]:
            del queue[ticket]
        self._depths[user.waiting] -= 1
        user.waiting -= 1
        self.size -= 1
        if not user.waiting:
            del self.users[ticket.user]
        while len(self._depths) > 1 and not self._depths[-1]:
            self._depths.pop()

    def turn_of(self, name: str) -> int:
        """Return the turn of a new call of the user, counted from 1: behind the user's own."""
        known = self.users.get(name)
        return known.waiting + 1 if known is not None else 1

    def ahead(self, turn: int) -> int:
        """Count the calls that go before a new one in this turn, if turns go on as now."""
        return sum(self._depths[1 : turn + 1])


def in_turn(lanes: Sequence[Lane[Item]]) -> Iterable[tuple[Lane[Item], User[Item]]]:
    """Return the users of several lanes in the order of their turns; a change of a lane ends the iteration."""
    if len(lanes) == 1:
        return _pairs(lanes[0])
    return heapq.merge(*(_pairs(lane) for lane in lanes), key=lambda pair: pair[1].turn)


def _pairs(lane: Lane[Item]) -> Iterable[tuple[Lane[Item], User[Item]]]:
    return ((lane, user) for user in lane.users.values())


def in_order(lanes: Sequence[Lane[Item]]) -> list[Item]:
    """Return the calls in the order of their grants, as if no call came, each had room and shares were unbounded."""
    rows = [
        [item for queue in user.queues() for calls in queue.values() for item in calls] for _, user in in_turn(lanes)
    ]
    ordered, turn = [], 0
    while rows:
        ordered += [row[turn] for row in rows]
        turn += 1
        rows = [row for row in rows if turn < len(row)]
    return ordered
