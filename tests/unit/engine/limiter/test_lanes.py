"""Lanes of the fair queue: callers whose providers have no room hold up nobody, and are not starved."""

from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.reach import Reach
from sidecar.engine.limiter.fair_queue import BACKGROUND_SHARE, FairQueue
from sidecar.engine.limiter.ticket import Streams, Ticket

reaches = st.sampled_from("abc").map(lambda name: Reach("interactive", (name,)))


@given(
    calls=st.lists(st.tuples(reaches, st.sampled_from("xyz")), max_size=30),
    rooms=st.lists(st.sets(st.sampled_from("abc")), max_size=40),
)
def test_calls_without_room_hold_up_nobody(calls: list[tuple[Reach, str]], rooms: list[set[str]]) -> None:
    """Whichever reaches have room, the next call is the one that would be next if the others were not there."""
    turns: FairQueue[int] = FairQueue()
    waiting: dict[int, tuple[Reach, str]] = {}
    for number, (reach, user) in enumerate(calls):
        turns.push(Ticket(f"{reach.names} {user}", reach=reach), number)
        waiting[number] = reach, user
    for names in rooms:

        def slots(reach: Reach, names: set[str] = names) -> int:
            return 100 if reach.names is not None and reach.names[0] in names else 0

        expected = turns.order([reach for reach in turns.reaches if slots(reach)])
        granted = turns.pop(slots)
        assert granted == (expected[0] if expected else None)
        if granted is not None:
            del waiting[granted]
    assert len(turns) == len(waiting)
    assert set(turns.reaches) == {reach for reach, _ in waiting.values()}


def test_one_crowd_is_passed_over_in_one_step() -> None:
    """Ten thousand callers without room cost the next grant no look at any of them."""
    turns: FairQueue[str] = FairQueue()
    crowded, free = Reach("interactive", ("crowded",)), Reach("interactive", ("free",))
    for number in range(10_000):
        turns.push(Ticket(str(number), reach=crowded), "crowd")
    turns.push(Ticket("anna", reach=free), "anna")
    looked: list[str] = []

    def fits(item: str) -> bool:
        looked.append(item)
        return True

    assert turns.pop(lambda reach: 4 * (reach == free), fits) == "anna"
    assert looked == ["anna"]


def test_background_calls_of_few_providers_are_not_starved() -> None:
    """Their provider has room only when background is not due; they are passed over a bounded number of times."""
    turns: FairQueue[str] = FairQueue()
    few, both, people = Reach("background", ("eu",)), Reach("background"), Reach("interactive")
    for number in range(2000):
        turns.push(Ticket(f"anna {number}", reach=people), "interactive")
        turns.push(Ticket(f"night {number}", reach=both, background=True), "night")
    turns.push(Ticket("few", reach=few, background=True), "few")
    granted: list[str | None] = []
    while granted[-1:] != ["few"]:
        due = len(granted) % BACKGROUND_SHARE == BACKGROUND_SHARE - 1
        granted.append(turns.pop(lambda reach, due=due: 4 if reach != few or not due else 0))  # type: ignore[misc]
    assert len(granted) <= 2 * BACKGROUND_SHARE + 4
    assert granted.count("night") <= 3


def test_streams_of_every_reach_hold_three_quarters_of_a_provider_in_common() -> None:
    """Tokens of some providers and callers of all share its slots; streams of other providers count for nothing."""
    eu, every, us = Reach("interactive", ("eu",)), Reach("interactive"), Reach("interactive", ("us",))
    turns: FairQueue[str] = FairQueue(Streams(lambda one, other: {one, other} != {eu, us}))
    for number in range(8):
        for reach in (eu, every):
            turns.push(Ticket(f"stream {number} {reach.names}", reach=reach, stream=True), "stream")
        turns.push(Ticket(f"whole {number}"), "whole")
    assert [turns.pop(lambda _: 8) for _ in range(12)].count("stream") == 6
    turns.push(Ticket("stream of us", reach=us, stream=True), "us")
    assert turns.pop(lambda reach: 8 * (reach == us)) == "us"
