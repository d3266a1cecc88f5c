"""Turns: nothing lost, nothing twice, users in turn, a bounded share for one request, background not starved."""

from collections import deque

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sidecar.core.reach import Reach
from sidecar.engine.limiter.fair_queue import BACKGROUND_SHARE, FairQueue, Slots
from sidecar.engine.limiter.ticket import STREAMS_SHARE, USER_STREAMS_SHARE, Ticket
from tests.support.scale import scaled


def each(slots: int) -> Slots:
    """Every reach has so many slots, some of them free."""

    def of(_: Reach) -> int:
        return slots

    return of


def drain(turns: FairQueue[str], *, slots: int = 1000) -> list[str]:
    out = []
    while (item := turns.pop(each(slots))) is not None:
        out.append(item)
    return out


def test_users_take_turns() -> None:
    """A user with a backlog does not stand before others: each gets one in turn."""
    turns: FairQueue[str] = FairQueue()
    for number in range(3):
        turns.push(Ticket("greedy"), f"g{number}")
    turns.push(Ticket("anna"), "a0")
    turns.push(Ticket("ben"), "b0")
    assert drain(turns) == ["g0", "a0", "b0", "g1", "g2"]


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=40))
def test_a_call_that_finds_nobody_waiting_counts_as_one_that_waited(calls: list[tuple[bool, bool]]) -> None:
    """`passed` leaves the queue as `push` and `pop` do: shares, streams, and background's turn."""
    short, long = FairQueue[str](), FairQueue[str]()
    for background, stream in calls:
        ticket, other = (Ticket("anna", background=background, stream=stream) for _ in range(2))
        short.passed(ticket)
        long.push(other, "call")
        assert long.pop(each(16)) == "call"
        assert (ticket.running, ticket.started) == (other.running, other.started)
    for turns in (short, long):
        for number in range(BACKGROUND_SHARE):
            turns.push(Ticket("ben", stream=number % 2 == 0), f"b{number}")
            turns.push(Ticket("cleo", background=True), f"c{number}")
    assert drain(short, slots=16) == drain(long, slots=16)


def test_first_come_first_served_inside_a_user() -> None:
    """One user's own requests keep their order."""
    turns: FairQueue[str] = FairQueue()
    for number in range(20):
        turns.push(Ticket("anna"), str(number))
    assert drain(turns) == [str(number) for number in range(20)]


def test_parts_of_one_request_are_one_turn() -> None:
    """The parts that wait together go in one turn, up to a quarter of the slots while others wait."""
    turns: FairQueue[str] = FairQueue()
    long_text = Ticket("anna")
    for number in range(6):
        turns.push(long_text, f"part{number}")
    for name in ("ben", "cleo"):
        turns.push(Ticket(name), name)
    assert drain(turns, slots=16) == ["part0", "part1", "part2", "part3", "ben", "cleo", "part4", "part5"]


def test_one_request_may_take_all_slots_when_nobody_waits() -> None:
    """The quarter holds only while others wait."""
    turns: FairQueue[str] = FairQueue()
    long_text = Ticket("anna")
    for number in range(8):
        turns.push(long_text, str(number))
    assert len(drain(turns, slots=8)) == 8


def test_streams_leave_a_quarter_of_the_slots_to_calls_that_wait() -> None:
    """Calls end soon, streams when their callers are done; with nobody else in the queue streams have all slots."""
    turns: FairQueue[str] = FairQueue()
    for user in "abcdefgh":
        turns.push(Ticket(user, stream=True), "stream")
    assert [turns.pop(each(8)) for _ in range(6)] == ["stream"] * 6
    turns.push(Ticket("x"), "call")
    assert [turns.pop(each(8)) for _ in range(4)] == ["call", "stream", "stream", None]


def test_streams_of_one_user_leave_half_to_others() -> None:
    """So one person with many windows does not hold the house."""
    turns: FairQueue[str] = FairQueue()
    for _ in range(6):
        turns.push(Ticket("anna", stream=True), "anna")
    assert [turns.pop(each(8)) for _ in range(4)] == ["anna"] * 4
    for user in "bc":
        turns.push(Ticket(user, stream=True), user)
    assert drain(turns, slots=8) == ["b", "c", "anna", "anna"]


def test_a_stream_that_ended_is_counted_no_more() -> None:
    """Its share is free at once."""
    turns: FairQueue[str] = FairQueue()
    first = Ticket("anna", stream=True)
    turns.push(first, "first")
    turns.pop(each(2))
    turns.ended(first)
    turns.push(Ticket("anna", stream=True), "second")
    turns.push(Ticket("ben"), "call")
    assert drain(turns, slots=2) == ["second", "call"]


def test_later_calls_of_a_started_request_go_before_its_users_new_ones() -> None:
    """A request that was begun is finished before the same user's next one."""
    turns: FairQueue[str] = FairQueue()
    begun = Ticket("anna")
    turns.push(begun, "first")
    turns.push(Ticket("anna"), "new")
    assert turns.pop(each(100)) == "first"
    turns.push(begun, "second")
    assert drain(turns) == ["second", "new"]


def test_a_resumed_call_keeps_its_turn() -> None:
    """A retry, or the chat after its context's summary, goes ahead of those who never had a turn."""
    turns: FairQueue[str] = FairQueue()
    begun = Ticket("anna")
    turns.push(begun, "context")
    turns.push(Ticket("ben"), "ben")
    assert turns.pop(each(100)) == "context"
    turns.push(begun, "chat", resumed=True)
    assert drain(turns) == ["chat", "ben"]


def test_background_gets_its_share() -> None:
    """While interactive calls wait, background gets one grant in sixteen; without them, all."""
    turns: FairQueue[str] = FairQueue()
    for number in range(60):
        turns.push(Ticket(f"user{number}"), "interactive")
    for number in range(10):
        turns.push(Ticket(f"job{number}", background=True), "background")
    order = drain(turns)
    assert order[:60].count("background") == 60 // BACKGROUND_SHARE
    assert len(order) == 70


def test_rank_is_what_goes_before() -> None:
    """A rank says how many calls are granted before a new one of that user."""
    turns: FairQueue[str] = FairQueue()
    for number in range(4):
        turns.push(Ticket("greedy"), f"g{number}")
    turns.push(Ticket("ben"), "b0")
    assert turns.rank("anna") == 2
    assert turns.rank("ben") == 3
    assert turns.rank("greedy") == 5


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.booleans()), max_size=60), st.sampled_from("abcdef"))
def test_no_rank_is_too_low(calls: list[tuple[str, bool]], user: str) -> None:
    """A new call is never granted later than its rank says, so that an estimate made from it is not too hopeful."""
    turns: FairQueue[str] = FairQueue()
    for name, background in calls:
        turns.push(Ticket(name, background=background), "old")
    rank = turns.rank(user)
    turns.push(Ticket(user), "new")
    assert drain(turns).index("new") <= rank + 1


class Interleavings(RuleBasedStateMachine):
    """Any order of arrivals, grants, removals and completions."""

    @initialize(slots=st.integers(1, 12))
    def start(self, slots: int) -> None:
        self.slots = slots
        self.turns: FairQueue[int] = FairQueue()
        self.waiting: dict[int, tuple[Ticket, int]] = {}
        self.running: deque[Ticket] = deque()
        self.tickets = [
            Ticket(user, background=background, stream=stream)
            for user in "abcd"
            for background, stream in ((False, False), (False, True), (True, False))
        ]
        self.next = 0
        self.overtaken: dict[int, int] = {}

    @rule(which=st.integers(0, 11), resumed=st.booleans())
    def arrive(self, which: int, *, resumed: bool) -> None:
        self.next += 1
        ticket = self.tickets[which]
        resumed = resumed and ticket.started
        self.waiting[self.next] = (ticket, self.turns.push(ticket, self.next, resumed=resumed))
        self.overtaken[self.next] = 0

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        item = data.draw(st.sampled_from(sorted(self.waiting)))
        ticket, key = self.waiting.pop(item)
        assert self.turns.remove(ticket, key)
        assert not self.turns.remove(ticket, key)

    @precondition(lambda self: len(self.running) < self.slots)
    @rule()
    def grant(self) -> None:
        item = self.turns.pop(each(self.slots))
        assert (item is None) == (not self.waiting)
        if item is None:
            return
        ticket, _ = self.waiting.pop(item)
        self.running.append(ticket)
        others = [other for other, _ in self.waiting.values() if other is not ticket and not other.stream]
        if any(other.running < max(1, self.slots // 4) for other in others):
            assert ticket.running <= max(1, self.slots // 4)
            streams = [each for each in self.running if each.stream]
            own = [each for each in streams if each.user == ticket.user]
            assert not ticket.stream or len(streams) <= max(1, self.slots * STREAMS_SHARE)
            assert not ticket.stream or len(own) <= max(1, self.slots * USER_STREAMS_SHARE)

    @precondition(lambda self: self.running)
    @rule()
    def complete(self) -> None:
        self.turns.ended(self.running.popleft())

    @invariant()
    def nothing_is_lost(self) -> None:
        if hasattr(self, "turns"):
            assert len(self.turns) == len(self.waiting)


TestInterleavings = Interleavings.TestCase
TestInterleavings.settings = settings(max_examples=scaled(100, 1000), stateful_step_count=60)


@given(
    st.integers(1, 40),
    st.lists(st.integers(1, 5), min_size=1, max_size=8),
)
def test_unfairness_is_bounded(backlog: int, others: list[int]) -> None:
    """However long one user's backlog, another user's n-th call waits for at most n calls of each."""
    turns: FairQueue[tuple[str, int]] = FairQueue()
    for number in range(backlog):
        turns.push(Ticket("greedy"), ("greedy", number))
    for user, count in enumerate(others):
        for number in range(count):
            turns.push(Ticket(str(user)), (str(user), number))
    order = []
    while (item := turns.pop(each(100))) is not None:
        order.append(item)
    for place, (_, number) in enumerate(order):
        assert place < (number + 1) * (len(others) + 1)
