"""The gate with several providers: no slot is lost, no provider gets more than its own, no text leaves its class."""

import asyncio
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.errors import (
    DeadlineExceeded,
    ModelUnknown,
    RateLimited,
    SidecarError,
    UpstreamAuth,
    UpstreamError,
    UpstreamFailure,
    UpstreamUnreachable,
)
from sidecar.core.ports import TRAFFIC, Call, Completion, Traffic
from sidecar.core.reach import EVERY
from sidecar.engine.deadline import Deadline
from sidecar.engine.limiter.calls import Calls
from sidecar.engine.limiter.pool import Pool
from sidecar.engine.limiter.provider import ALL, Provider
from sidecar.engine.limiter.streams import streamed
from sidecar.engine.limiter.ticket import Ticket
from sidecar.engine.limiter.trace import Trace
from sidecar.engine.limiter.waits import expected_wait
from sidecar.provider.connection_errors import not_connected
from tests.support.counted_provider import AWAY, CALL, FULL, Counted
from tests.support.virtual_time import in_virtual_time, run

ENDINGS: tuple[UpstreamFailure | None, ...] = (None, None, None, FULL, AWAY, UpstreamAuth(status=401), UpstreamError())


def calls_over(*upstreams: Counted, most: float = 1000) -> Calls:
    """Calls over a first and a second priority, of ten slots each."""
    clock = asyncio.get_running_loop().time
    providers = [
        Provider(upstream, name=f"p{number}", concurrency=10, priority=number, clock=clock)
        for number, upstream in enumerate(upstreams)
    ]
    return Calls(Pool(providers, most=most), clock=clock)


async def complete(calls: Calls, trace: Trace | None = None, *, left: float = 20.0) -> Completion:
    deadline = Deadline(calls.clock() + left)
    return await calls.complete(CALL, Ticket("anna"), trace or Trace(), deadline=deadline)


plans = st.lists(
    st.tuples(
        st.integers(1, 4),
        st.integers(1, 3),
        st.sets(st.sampled_from(TRAFFIC)),
        st.lists(st.sampled_from(ENDINGS), min_size=1, max_size=8),
    ),
    min_size=2,
    max_size=4,
)
callers = st.lists(
    st.tuples(st.sampled_from(TRAFFIC), st.floats(0, 2), st.floats(0.1, 9), st.none() | st.floats(0, 3)), max_size=40
)


@given(plans=plans, callers=callers, most=st.integers(1, 8), swap=st.floats(0, 3))
def test_nothing_is_lost_at_several_providers(
    plans: list[tuple[int, int, set[Traffic], list[UpstreamFailure | None]]],
    callers: list[tuple[Traffic, float, float, float | None]],
    most: int,
    swap: float,
) -> None:
    """Arrivals, refusals, failures, callers who leave, other providers halfway: bounds hold, and every call ends."""

    async def scene() -> None:
        clock = asyncio.get_running_loop().time
        upstreams = [Counted(*endings) for _, _, _, endings in plans]
        providers = [
            Provider(
                upstream,
                name=str(number),
                concurrency=slots,
                priority=rank,
                traffic=ALL if number == 0 else frozenset(classes),
                clock=clock,
            )
            for number, ((slots, rank, classes, _), upstream) in enumerate(zip(plans, upstreams, strict=True))
        ]
        calls = Calls(Pool(providers, most=most), clock=clock)

        async def caller(number: int, traffic: Traffic, at: float, left: float, leaves: float | None) -> None:
            await asyncio.sleep(at)
            call = Call(messages=CALL.messages, max_tokens=10, user=traffic)
            ticket = Ticket(f"user {number % 5}", background=traffic != "interactive", reach=EVERY[traffic])
            deadline = calls.clock() + left
            async with asyncio.timeout_at(min(deadline, calls.clock() + (9.0 if leaves is None else leaves))):
                try:
                    await calls.complete(call, ticket, Trace(), deadline=Deadline(deadline))
                finally:
                    assert calls.gate.running == sum(provider.running for provider in providers) <= most

        tasks = [asyncio.create_task(caller(number, *plan)) for number, plan in enumerate(callers)]
        await asyncio.sleep(swap)
        calls.pool.replace(providers[:1])
        calls.pool.replace(providers)
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(result is None or isinstance(result, SidecarError | TimeoutError) for result in results)
        assert (calls.gate.running, calls.gate.waiting, calls.gate.oldest_wait) == (0, 0, 0.0)
        assert not calls.gate.reaches
        for (slots, _, classes, _), upstream, provider in zip(plans, upstreams, providers, strict=True):
            assert (provider.running, upstream.running) == (0, 0)
            assert upstream.most <= slots
            assert provider is providers[0] or upstream.seen <= classes

    run(scene())


@in_virtual_time
async def test_all_providers_together_get_no_more_than_their_bound() -> None:
    """A worker's lane has its number of calls at once, however many providers there are."""
    upstreams = Counted(None), Counted(None)
    calls = calls_over(*upstreams, most=3)
    await asyncio.gather(*(complete(calls) for _ in range(12)))
    assert sum(upstream.most for upstream in upstreams) == 3


@in_virtual_time
async def test_a_full_provider_gets_the_call_again_where_nobody_else_has_room() -> None:
    """With both full the call waits in its turn, as at one provider."""
    first, second = Counted(FULL, FULL, None), Counted(FULL)
    trace = Trace()
    calls = calls_over(first, second)
    await complete(calls, trace)
    assert trace.provider == "p0"
    assert trace.refused >= 3


@in_virtual_time
async def test_everybody_hears_it_where_all_providers_are_away() -> None:
    """Each is tried; then the callers hear it, long before the deadline, and new ones at once."""
    first, second = Counted(AWAY), Counted(AWAY)
    calls, start = calls_over(first, second), asyncio.get_running_loop().time()
    results = await asyncio.gather(*(complete(calls) for _ in range(40)), return_exceptions=True)
    assert {type(result) for result in results} == {UpstreamUnreachable}
    assert calls.clock() - start < 5.0
    assert isinstance(calls.refusal(), UpstreamUnreachable)
    assert first.received + second.received < 60


@in_virtual_time
async def test_a_caller_is_not_stranded_between_two_providers() -> None:
    """One that could not be reached for a moment is tried again where the other one goes down meanwhile."""
    first, second = Counted(AWAY, None), Counted(None, seconds=3.0)
    calls = calls_over(first, second)
    busy = [asyncio.create_task(calls.complete(CALL, Ticket("x"), Trace(), deadline=Deadline(2e9))) for _ in range(30)]
    await asyncio.sleep(0.1)
    for _ in range(5):
        calls.pool.providers[1].limit.breaker.failed(AWAY, calls.clock())
    assert calls.pool.providers[1].down
    await asyncio.gather(*busy)
    assert first.received >= 20


@in_virtual_time
async def test_only_what_cost_nothing_moves_on() -> None:
    """A provider's error may have a price: it is the call's answer, and the other provider never sees the call."""
    moving = (FULL, AWAY, UpstreamAuth(), ModelUnknown(status=404, scope="request"))
    for failure, moves in (*((one, True) for one in moving), (UpstreamError(status=500), False)):
        first, second = Counted(failure), Counted(None)
        calls, trace = calls_over(first, second), Trace()
        if moves:
            await complete(calls, trace)
            assert (trace.provider, trace.calls) == ("p1", 2)
        else:
            with pytest.raises(UpstreamError):
                await complete(calls, trace)
            assert (trace.provider, second.received) == ("", 0)


@in_virtual_time
async def test_a_model_that_no_provider_has_is_the_requests_own_matter_at_one_provider() -> None:
    """Nothing opens a breaker there: each caller hears the provider, as without PROVIDERS_FILE."""
    upstream = Counted(ModelUnknown(status=404, scope="request"))
    calls = calls_over(upstream)
    results = await asyncio.gather(*(complete(calls) for _ in range(9)), return_exceptions=True)
    assert {type(result) for result in results} == {ModelUnknown}
    assert (upstream.received, calls.refusal()) == (9, None)


@in_virtual_time
async def test_a_sentence_names_the_provider_and_its_field() -> None:
    """An administrator of several providers is not sent to a variable that counts for none of them."""
    calls = calls_over(Counted(not_connected(socket.gaierror(), "there")), Counted(UpstreamAuth(status=401)))
    with pytest.raises(UpstreamAuth, match=r"must check api_key_file of the provider p1[.]"):
        await complete(calls)


@in_virtual_time
async def test_a_late_provider_keeps_its_call() -> None:
    """A call without an answer until the deadline is never sent a second time."""
    first, second = Counted(None, seconds=100.0), Counted(None)
    calls = calls_over(first, second)
    with pytest.raises((DeadlineExceeded, TimeoutError)):
        async with asyncio.timeout(5.0):
            await complete(calls, left=5.0)
    assert (first.received, second.received) == (1, 0)


@in_virtual_time
async def test_a_stream_moves_only_before_its_first_event() -> None:
    """Refused before, it comes whole from the next provider; broken after, it ends there."""
    for seconds, heard in ((0.0, [b"1", b"2"]), (1.0, [b"1"])):
        calls, trace = calls_over(Counted(FULL, seconds=seconds), Counted(None)), Trace()
        events = []
        try:
            async for data in streamed(calls, CALL, Ticket("anna"), trace, deadline=Deadline(calls.clock() + 9.0)):
                events.append(data)  # noqa: PERF401 - the events before a failure count too
        except RateLimited:
            assert seconds
        assert events == heard
        assert trace.provider == ("p0" if seconds else "p1")


@in_virtual_time
async def test_estimates_count_on_all_slots() -> None:
    """Twenty slots of half a second in two providers: the forty-first caller waits for a second, nearly."""
    calls = calls_over(Counted(None), Counted(None))
    await asyncio.gather(*(complete(calls) for _ in range(20)))
    waiting = [asyncio.create_task(complete(calls)) for _ in range(40)]
    await asyncio.sleep(0.01)
    assert (calls.gate.running, calls.gate.waiting) == (20, 20)
    limit = calls.pool.limit_of(EVERY["interactive"])
    assert (limit.slots, limit.ceiling, limit.expected) == (20, 20, 20)
    assert limit.duration == pytest.approx(0.5)
    assert expected_wait(calls.pool, calls.gate, "ben") == pytest.approx(0.05, abs=0.03)  # ben's first call is next
    assert calls.drain_seconds(40) == pytest.approx(1.0, abs=0.1)
    await asyncio.gather(*waiting)
