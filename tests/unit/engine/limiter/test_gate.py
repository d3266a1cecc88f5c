"""The gate: as many calls at once as it has slots, none lost by a caller who leaves at any moment."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.errors import DeadlineExceeded, Overloaded, RateLimited, UpstreamUnreachable
from sidecar.engine.deadline import Deadline
from sidecar.engine.limiter.gate import Gate
from sidecar.engine.limiter.grant import Grant
from sidecar.engine.limiter.pool import alone
from sidecar.engine.limiter.ticket import Ticket
from tests.support.simulated_provider import SimulatedProvider
from tests.support.virtual_time import run
from tests.support.worlds import World

FAR = time.monotonic() + 1e6


def gate_of(slots: int, clock: Callable[[], float] = time.monotonic) -> Gate:
    """A gate with one provider."""
    return Gate(alone(SimulatedProvider(World(name="unused")), concurrency=slots, clock=clock), clock=clock)


@asynccontextmanager
async def slot(gate: Gate, ticket: Ticket, deadline: float) -> AsyncIterator[Grant]:
    """Hold a slot."""
    granted = await gate.enter(ticket, Deadline(deadline))
    try:
        yield granted[1]
    finally:
        gate.leave(ticket, granted)


async def settle() -> None:
    """Let every task that can go on do so."""
    for _ in range(10):
        await asyncio.sleep(0)


async def hold(gate: Gate, user: str, until: asyncio.Event, deadline: float = FAR, *, patient: bool = False) -> None:
    async with slot(gate, Ticket(user, patient=patient), deadline):
        await until.wait()


async def test_no_more_calls_than_slots() -> None:
    """What is beyond the slots waits, and goes on as slots come free."""
    gate, until = gate_of(2), asyncio.Event()
    tasks = [asyncio.create_task(hold(gate, str(n), until)) for n in range(5)]
    await settle()
    assert (gate.running, gate.waiting) == (2, 3)
    assert repr(gate) == "<Gate 2/2 slots, 3 waiting>"
    until.set()
    await asyncio.gather(*tasks)
    assert (gate.running, gate.waiting) == (0, 0)


async def test_a_cancelled_waiter_is_gone() -> None:
    """A caller who leaves while waiting frees the place in the queue."""
    gate, until = gate_of(1), asyncio.Event()
    running = asyncio.create_task(hold(gate, "a", until))
    await settle()
    waiting = asyncio.create_task(hold(gate, "b", until))
    await settle()
    waiting.cancel()
    await settle()
    assert (gate.running, gate.waiting) == (1, 0)
    until.set()
    await running


async def test_leaving_in_the_moment_of_the_grant_passes_the_slot_on() -> None:
    """A slot granted to someone who is just being cancelled goes to the next one."""
    gate, first, later = gate_of(1), asyncio.Event(), asyncio.Event()
    running = asyncio.create_task(hold(gate, "a", first))
    await settle()
    leaver = asyncio.create_task(hold(gate, "b", later))
    follower = asyncio.create_task(hold(gate, "c", later))
    await settle()
    first.set()
    await running
    leaver.cancel()
    await settle()
    assert gate.running == 1
    later.set()
    await follower
    assert leaver.cancelled()
    assert (gate.running, gate.waiting) == (0, 0)


async def test_a_running_call_that_is_cancelled_frees_its_slot() -> None:
    """A caller who leaves in the middle frees the slot."""
    gate, until = gate_of(1), asyncio.Event()
    running = asyncio.create_task(hold(gate, "a", until))
    await settle()
    running.cancel()
    await settle()
    assert gate.running == 0


async def test_an_expired_call_is_dropped_at_the_grant() -> None:
    """A call whose deadline passed while it waited never reaches the provider and takes no slot."""
    now = 0.0

    def clock() -> float:
        return now

    moved: Callable[[], float] = clock
    gate, until = gate_of(1, moved), asyncio.Event()
    running = asyncio.create_task(hold(gate, "a", until))
    await settle()
    late = asyncio.create_task(hold(gate, "b", until, deadline=5.0))
    fine = asyncio.create_task(hold(gate, "c", until, deadline=50.0))
    await settle()
    now = 6.0
    until.set()
    await asyncio.gather(running, fine)
    with pytest.raises(DeadlineExceeded):
        await late
    assert (gate.running, gate.waiting) == (0, 0)


async def test_more_slots_are_used_at_once() -> None:
    """A limit that grows lets waiting calls in without waiting for a completion."""
    gate, until = gate_of(3), asyncio.Event()
    gate.pool.providers[0].limit.ceiling = 1
    tasks = [asyncio.create_task(hold(gate, str(n), until)) for n in range(4)]
    await settle()
    assert (gate.running, gate.waiting) == (1, 3)
    gate.pool.providers[0].limit.ceiling = 3
    gate.grant()
    await settle()
    assert (gate.running, gate.waiting) == (3, 1)
    until.set()
    await asyncio.gather(*tasks)


async def test_waiting_calls_can_be_refused_together() -> None:
    """When the provider is plainly down, no caller waits for the deadline to hear it."""
    gate, until = gate_of(1), asyncio.Event()
    running = asyncio.create_task(hold(gate, "a", until))
    await settle()
    waiting = [asyncio.create_task(hold(gate, name, until)) for name in "bcd"]
    await settle()
    gate.refuse_waiting(UpstreamUnreachable())
    for task in waiting:
        with pytest.raises(UpstreamUnreachable):
            await task
    until.set()
    await running
    assert (gate.running, gate.waiting) == (0, 0)


async def test_who_cannot_be_served_in_time_is_refused_and_the_others_wait_on() -> None:
    """While nothing is granted: a caller whose deadline comes sooner hears it now, unless marked as patient."""
    gate, until = gate_of(1, lambda: 0.0), asyncio.Event()
    running = asyncio.create_task(hold(gate, "a", until, deadline=5.0))
    await settle()
    short = asyncio.create_task(hold(gate, "b", until, deadline=5.0))
    long = asyncio.create_task(hold(gate, "c", until, deadline=50.0))
    patient = asyncio.create_task(hold(gate, "d", until, deadline=5.0, patient=True))
    await settle()
    gate.refuse_due(10.0, RateLimited(retry_after=10.0))
    with pytest.raises(RateLimited) as caught:
        await short
    assert caught.value.retry_after == 10.0
    assert (gate.running, gate.waiting) == (1, 2)
    until.set()
    await asyncio.gather(running, long, patient)
    assert (gate.running, gate.waiting) == (0, 0)


async def test_who_waits_in_vain_hears_it_and_the_others_move_up() -> None:
    """A call a second and two seconds each: a caller a caller too late for the deadline is told so, nobody else."""
    gate, until = gate_of(1, lambda: 0.0), asyncio.Event()
    running = asyncio.create_task(hold(gate, "a", until))
    await settle()
    first, vain, second = (
        asyncio.create_task(hold(gate, user, until, deadline=deadline))
        for user, deadline in (("b", 3.0), ("c", 3.5), ("d", 4.0))
    )
    patient = asyncio.create_task(hold(gate, "e", until, deadline=1.0, patient=True))
    await settle()
    gate.shed(1.0, 2.0, lambda late: late)
    with pytest.raises(Overloaded) as caught:
        await vain
    assert caught.value.retry_after == 0.5
    assert (gate.running, gate.waiting) == (1, 3)
    until.set()
    await asyncio.gather(running, first, second, patient)


async def test_a_caller_who_leaves_gives_up_the_turn_at_once() -> None:
    """The slot that ends in the same turn of the loop goes to the next call."""
    gate, until = gate_of(1, lambda: 0.0), asyncio.Event()
    running = asyncio.create_task(hold(gate, "a", until))
    await settle()
    leaving, next_one = (asyncio.create_task(hold(gate, user, asyncio.Event())) for user in "bc")
    await settle()
    leaving.cancel()
    assert gate.waiting == 1
    until.set()
    await asyncio.wait((running, leaving))
    assert leaving.cancelled()
    assert (gate.running, gate.waiting) == (1, 0)
    next_one.cancel()
    await asyncio.wait((next_one,))
    assert gate.running == 0


async def test_a_slot_granted_to_a_caller_who_leaves_goes_on() -> None:
    """Granted and left in the same turn of the loop, it is the next call's."""
    gate, until = gate_of(1, lambda: 0.0), asyncio.Event()
    granted = await gate.enter(Ticket("a"), Deadline(60.0))
    leaving, next_one = (asyncio.create_task(hold(gate, user, until)) for user in "bc")
    await settle()
    gate.leave(Ticket("a"), granted)
    leaving.cancel()
    await settle()
    assert leaving.cancelled()
    assert (gate.running, gate.waiting) == (1, 0)
    until.set()
    await next_one
    assert gate.running == 0


def test_calls_follow_each_other_evenly_once_one_was_refused() -> None:
    """Ten calls of a second at a provider of two at once: they start half a second apart, nearly."""

    async def scene() -> list[float]:
        loop = asyncio.get_running_loop()
        gate, starts = gate_of(2, loop.time), []
        limit = gate.pool.providers[0].limit

        async def call(user: str) -> None:
            async with slot(gate, Ticket(user), loop.time() + 60) as grant:
                starts.append(loop.time())
                await asyncio.sleep(1.0)
                limit.succeeded(grant, running=gate.running - 1)

        async with slot(gate, Ticket("refused"), loop.time() + 60) as grant:
            limit.failed(grant, RateLimited(scope="capacity"), running=1)
        await asyncio.gather(*(call(str(n)) for n in range(10)))
        return starts

    starts = run(scene())
    gaps = [after - before for before, after in pairwise(starts[2:])]
    assert all(gap >= 0.4 for gap in gaps)
    assert starts[-1] - starts[0] == pytest.approx(4.5, abs=1.0)


@given(
    slots=st.integers(1, 4),
    steps=st.lists(
        st.tuples(st.sampled_from(["arrive", "finish", "cancel", "tick", "slots"]), st.integers(0, 7)), max_size=60
    ),
)
def test_nothing_is_lost_under_any_interleaving(slots: int, steps: list[tuple[str, int]]) -> None:
    """Arrivals, grants, completions, cancellations, expiries and refusals in any order: bounds hold, all ends."""

    async def scenario() -> None:
        now = 0.0
        gate = gate_of(slots, lambda: now)
        running: list[tuple[asyncio.Task[None], asyncio.Event]] = []
        most = slots
        for step, number in steps:
            match step:
                case "arrive":
                    until = asyncio.Event()
                    user, deadline = f"u{number % 3}", now + number
                    running.append((asyncio.create_task(hold(gate, user, until, deadline)), until))
                case "finish" if running:
                    running[number % len(running)][1].set()
                case "cancel" if running:
                    running[number % len(running)][0].cancel()
                case "tick":
                    now += number / 2
                case "slots":
                    gate.pool.providers[0].limit.ceiling = 1 + number % 4
                    most = max(most, gate.pool.providers[0].limit.ceiling)
                    gate.refuse_due(now + number % 3, RateLimited())
                    gate.grant()
                case _:
                    pass
            if number % 2:
                await settle()
            assert 0 <= gate.running <= most
        for _, until in running:
            until.set()
        results = await asyncio.gather(*(task for task, _ in running), return_exceptions=True)
        assert all(
            result is None or isinstance(result, DeadlineExceeded | RateLimited | asyncio.CancelledError)
            for result in results
        )
        assert (gate.running, gate.waiting, gate.oldest_wait) == (0, 0, 0.0)

    asyncio.run(scenario())
