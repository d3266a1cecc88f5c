"""Tokens that allow some providers only: no text leaves its reach, and calls without room hold up nobody."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.errors import SidecarError, UpstreamFailure, UpstreamUnreachable
from sidecar.core.ports import TRAFFIC, Call, Traffic
from sidecar.core.reach import EVERY, NoProvider, Reach, reach_of
from sidecar.engine.deadline import Deadline
from sidecar.engine.limiter.calls import Calls
from sidecar.engine.limiter.pool import Pool
from sidecar.engine.limiter.provider import ALL, Provider
from sidecar.engine.limiter.ticket import Ticket
from sidecar.engine.limiter.trace import Trace
from sidecar.engine.limiter.waits import expected_wait
from tests.support.counted_provider import AWAY, CALL, FULL, Counted
from tests.support.virtual_time import in_virtual_time, run

EU, US = reach_of("interactive", ("eu",)), reach_of("interactive", ("us",))
ANY = EVERY["interactive"]


def calls_at(concurrency: int = 4, /, **upstreams: Counted) -> Calls:
    """Calls over providers of one priority, by their names."""
    clock = asyncio.get_running_loop().time
    providers = [
        Provider(upstream, name=name, concurrency=concurrency, clock=clock) for name, upstream in upstreams.items()
    ]
    return Calls(Pool(providers), clock=clock)


async def complete(calls: Calls, reach: Reach, user: str = "anna", *, left: float = 60.0) -> float:
    """Return the seconds until the answer."""
    came = calls.clock()
    await calls.complete(CALL, Ticket(user, reach=reach), Trace(), deadline=Deadline(came + left))
    return calls.clock() - came


names = st.none() | st.sets(st.sampled_from("abc"), min_size=1).map(lambda found: tuple(sorted(found)))
plans = st.lists(
    st.tuples(
        st.integers(1, 4),
        st.integers(1, 3),
        st.sets(st.sampled_from(TRAFFIC), min_size=2),
        st.lists(st.sampled_from((None, None, None, FULL, AWAY)), min_size=1, max_size=8),
    ),
    min_size=2,
    max_size=3,
)
callers = st.lists(
    st.tuples(st.sampled_from(TRAFFIC), names, st.floats(0, 1), st.floats(0.1, 9), st.none() | st.floats(0, 3)),
    min_size=10,
    max_size=40,
)


@given(plans=plans, callers=callers, most=st.integers(1, 4), swap=st.floats(0, 3), left=st.integers(1, 3))
def test_no_call_leaves_its_reach(
    plans: list[tuple[int, int, set[Traffic], list[UpstreamFailure | None]]],
    callers: list[tuple[Traffic, tuple[str, ...] | None, float, float, float | None]],
    most: int,
    swap: float,
    left: int,
) -> None:
    """Refusals, failures, retries, callers who leave, providers that a reload takes away: every text keeps its reach.

    Each call ends, by its deadline; no slot and no waiting call is left over.
    """

    async def scene() -> None:
        clock = asyncio.get_running_loop().time
        upstreams = [Counted(*endings) for _, _, _, endings in plans]
        providers = [
            Provider(
                upstream,
                name="abc"[number],
                concurrency=slots,
                priority=rank,
                traffic=ALL if number == 0 else frozenset(classes),
                clock=clock,
            )
            for number, ((slots, rank, classes, _), upstream) in enumerate(zip(plans, upstreams, strict=True))
        ]
        calls = Calls(Pool(providers, most=most), clock=clock)
        reaches = [reach_of(traffic, allowed) for traffic, allowed, *_ in callers]

        async def caller(number: int, at: float, seconds: float, leaves: float | None) -> None:
            reach = reaches[number]
            await asyncio.sleep(at)
            call = Call(messages=CALL.messages, max_tokens=10, user=str(number))
            ticket = Ticket(f"user {number % 5}", background=reach.traffic != "interactive", reach=reach)
            deadline = calls.clock() + seconds
            async with asyncio.timeout_at(min(deadline, calls.clock() + (9.0 if leaves is None else leaves))):
                try:
                    await calls.complete(call, ticket, Trace(), deadline=Deadline(deadline))
                except NoProvider:
                    assert not calls.pool.serving(reach)

        tasks = [asyncio.create_task(caller(number, *plan[2:])) for number, plan in enumerate(callers)]
        await asyncio.sleep(swap)
        calls.pool.replace(providers[:left])
        assert all(calls.pool.serving(reach) for reach in calls.gate.reaches)
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(result is None or isinstance(result, SidecarError | TimeoutError) for result in results)
        assert (calls.gate.running, calls.gate.waiting, len(calls.gate.reaches)) == (0, 0, 0)
        for upstream, provider in zip(upstreams, providers, strict=True):
            assert (provider.running, upstream.running) == (0, 0)
            assert all(provider.serves(reaches[int(number)]) for number in upstream.seen)

    run(scene())


@in_virtual_time
async def test_a_crowd_at_a_full_provider_holds_up_nobody_else() -> None:
    """300 callers wait for one provider: others' waits at another one are those of a sidecar without the crowd."""

    async def waits(crowd: int) -> list[float]:
        calls = calls_at(eu=Counted(None, seconds=5.0), us=Counted(None, seconds=0.5))
        held = [asyncio.create_task(complete(calls, EU, f"eu {number}", left=900.0)) for number in range(crowd)]
        await asyncio.sleep(0.01)
        found = await asyncio.gather(*(complete(calls, US, f"us {number}") for number in range(20)))
        for task in held:
            task.cancel()
        await asyncio.wait(held or [asyncio.ensure_future(asyncio.sleep(0))])
        return found

    assert await waits(300) == pytest.approx(await waits(0), abs=0.01)


@in_virtual_time
async def test_a_caller_of_few_providers_is_not_starved_by_those_of_all() -> None:
    """Users take turns at a provider, whether or not others may have more: the turn comes with the next free slot."""
    calls = calls_at(eu=Counted(None, seconds=1.0), us=Counted(None, seconds=1.0))
    crowd = [asyncio.create_task(complete(calls, ANY, f"user {number % 40}", left=900.0)) for number in range(200)]
    await asyncio.sleep(0.5)
    assert await complete(calls, EU, "anna") <= 0.5 + 41 / 4 + 1.0
    assert not all(task.done() for task in crowd)
    for task in crowd:
        task.cancel()
    await asyncio.wait(crowd)


@in_virtual_time
async def test_callers_of_a_broken_provider_fail_fast_and_others_are_served() -> None:
    """The breaker of the only provider that a token allows refuses its callers at once, and nobody else."""
    calls = calls_at(eu=Counted(AWAY), us=Counted(None))
    for _ in range(3):
        with pytest.raises(UpstreamUnreachable):
            await complete(calls, EU, left=5.0)
    assert isinstance(calls.refusal(EU), UpstreamUnreachable)
    assert (calls.refusal(US), calls.refusal(ANY)) == (None, None)
    began = calls.clock()
    assert await complete(calls, ANY) == pytest.approx(0.5)
    assert calls.clock() - began == pytest.approx(0.5)


@in_virtual_time
async def test_waiting_callers_of_a_provider_that_breaks_are_refused_at_once() -> None:
    """They do not wait for their deadlines, and those who wait for another provider go on waiting."""
    eu, us = Counted(None, seconds=3.0), Counted(None, seconds=3.0)
    calls = calls_at(eu=eu, us=us)
    began = calls.clock()
    eu.endings = [AWAY]
    eu.refusing = 1.0
    crowd = [asyncio.create_task(complete(calls, EU, f"eu {n}", left=300.0)) for n in range(40)]
    others = [asyncio.create_task(complete(calls, US, f"us {n}", left=300.0)) for n in range(12)]
    results = await asyncio.gather(*crowd, return_exceptions=True)
    assert all(isinstance(result, UpstreamUnreachable) for result in results)
    assert calls.clock() - began < 30.0
    assert max(await asyncio.gather(*others)) == pytest.approx(9.0)


@in_virtual_time
@pytest.mark.parametrize("left", [("us",), ("us", "asia")], ids=["one provider left", "two left"])
async def test_a_provider_that_a_reload_takes_away_leaves_its_callers_no_other(left: tuple[str, ...]) -> None:
    """Those who wait and those who come are refused with a sentence that names the file; nothing goes elsewhere."""
    upstreams = {name: Counted(None, seconds=2.0) for name in ("eu", "us", "asia")}
    calls = calls_at(**upstreams)
    began = calls.clock()
    crowd = [asyncio.create_task(complete(calls, EU, f"eu {number}", left=300.0)) for number in range(9)]
    await asyncio.sleep(0.5)
    calls.pool.replace([one for one in calls.pool.providers if one.name in left])
    results = await asyncio.gather(*crowd, return_exceptions=True)
    answered = [result for result in results if isinstance(result, float)]
    assert answered == [pytest.approx(2.0)] * 4
    assert calls.clock() - began == pytest.approx(2.0)
    assert all(isinstance(result, float | NoProvider) for result in results)
    assert isinstance(calls.refusal(EU), NoProvider)
    assert "TOKENS_FILE" in str(calls.refusal(EU))
    with pytest.raises(NoProvider):
        await complete(calls, EU)
    assert [upstreams[name].received for name in left] == [0] * len(left)


@in_virtual_time
async def test_estimates_count_who_waits_for_the_same_providers() -> None:
    """A crowd at one provider is none of another's wait; a crowd of callers of both counts at each by its part."""
    calls = calls_at(eu=Counted(None), us=Counted(None))
    await asyncio.gather(*(complete(calls, ANY) for _ in range(8)))

    def wait(reach: Reach) -> float:
        return expected_wait(calls.pool, calls.gate, "ben", reach)

    crowd = [asyncio.create_task(complete(calls, EU, f"eu {number}")) for number in range(44)]
    await asyncio.sleep(0.01)
    assert calls.gate.waiting == 40
    assert wait(EU) == pytest.approx(41 * 0.5 / 4, rel=0.05)
    assert (wait(US), wait(ANY)) == (0.0, 0.0)
    crowd += [asyncio.create_task(complete(calls, ANY, f"any {number}")) for number in range(20)]
    await asyncio.sleep(0.01)
    assert wait(ANY) == pytest.approx(17 * 0.5 / 4, rel=0.05)  # at the provider that the crowd does not want
    assert wait(US) == pytest.approx(9 * 0.5 / 4, rel=0.05)  # half of those who may go to both
    await asyncio.gather(*crowd)
