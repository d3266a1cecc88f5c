"""Lanes of the fair queue: the waiting calls of one reach, a ring of users, and the turns that several lanes share.

Plain state, free of await, time and I/O. A lane is passed over at once where no provider of its reach has room, however
many calls wait in it.
"""

import heapq
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
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


class User(Generic[Item]):
    """Waiting requests of one user, those that had a grant before the fresh ones."""

    __slots__ = ("fresh", "started", "turn", "waiting")

    def __init__(self, turn: int) -> None:
        self.started: OrderedDict[Ticket, OrderedDict[int, Item]] = OrderedDict()
        self.fresh: OrderedDict[Ticket, OrderedDict[int, Item]] = OrderedDict()
        self.waiting = 0
        self.turn = turn

    def tickets(self) -> list[OrderedDict[Ticket, OrderedDict[int, Item]]]:
        return [self.started, self.fresh]


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
        queue = user.started if ticket.started else user.fresh
        calls = queue.get(ticket)
        if calls is None:
            calls = queue[ticket] = OrderedDict()
        calls[key] = item
        if resumed:
            calls.move_to_end(key, last=False)
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
        for queue in user.tickets():
            calls = queue.get(ticket)
            if calls is not None and calls.pop(key, None) is not None:
                self._removed(ticket, user, queue)
                return True
        return False

    def offer(self, user: User[Item], slots: int | None, fits: Callable[[Item], bool] | None) -> Item | None:
        """Take the user's next call, passing over what already holds its share of `slots` (None: over nothing).

        Requests whose first call does not fit are passed over too.
        """
        share = None if slots is None else max(1, slots // 4)
        for queue in user.tickets():
            for ticket, calls in queue.items():
                if slots is not None and ticket.stream and self._streams.over_share(ticket, slots):
                    continue
                if (share is None or ticket.running < share) and (fits is None or fits(next(iter(calls.values())))):
                    return self._take(user, ticket, queue, share)
        return None

    def _take(
        self, user: User[Item], ticket: Ticket, queue: OrderedDict[Ticket, OrderedDict[int, Item]], share: int | None
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
            self._move(ticket.user, user, last=turn_over)
        return item

    def _move(self, name: str, user: User[Item], *, last: bool) -> None:
        self.users.move_to_end(name, last=last)
        user.turn = self._turns.behind() if last else self._turns.ahead()

    def _removed(self, ticket: Ticket, user: User[Item], queue: OrderedDict[Ticket, OrderedDict[int, Item]]) -> None:
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
        [item for queue in user.tickets() for calls in queue.values() for item in calls.values()]
        for _, user in in_turn(lanes)
    ]
    ordered, turn = [], 0
    while rows:
        ordered += [row[turn] for row in rows]
        turn += 1
        rows = [row for row in rows if turn < len(row)]
    return ordered
