"""The engine's second verb, streamed: the slot held until the end, silence bounded, retries before the first event."""

import asyncio

import pytest

from sidecar.core.errors import UpstreamError, UpstreamUnreachable
from sidecar.engine.limiter.breaker import FAILURES_TO_OPEN
from tests.support.event_streams import FedProvider
from tests.support.http_sidecar import PATIENCE
from tests.support.scripted_calls import refusal
from tests.support.stream_callers import Taker, asked, code, over
from tests.support.virtual_time import in_virtual_time


@in_virtual_time
async def test_events_pass_in_their_order_and_the_slot_is_held_until_the_end() -> None:
    """One event at a time; afterwards nothing is held and the call is counted as answered."""
    spring, taker = FedProvider(), Taker()
    service = over(spring)
    task = asyncio.create_task(service.completions.stream(asked(), taker))
    for number in range(3):
        await spring.feed.put(b"%d" % number)
        await taker.has(number + 1)
        assert service.kernel.calls.gate.running == 1
    await spring.feed.put(None)
    assert code(await task) == "ok"
    assert taker.taken == [b"0", b"1", b"2"]
    assert service.kernel.calls.idle
    assert service.log.codes == {"ok": 1}


@in_virtual_time
async def test_the_deadline_is_the_first_events_alone() -> None:
    """Before it the stream ends in time; after it, it goes on beyond."""
    spring, taker = FedProvider(), Taker()
    service = over(spring)
    assert code(await service.completions.stream(asked(seconds=0.05), taker)) == "timeout"
    assert (taker.taken, spring.running) == ([], 0)
    request = asked(seconds=1.0)
    task = asyncio.create_task(service.completions.stream(request, taker))
    await spring.feed.put(b"a")
    await taker.has(1)
    await asyncio.sleep(1.05)
    await spring.feed.put(b"b")
    await spring.feed.put(None)
    assert code(await task) == "ok"
    assert taker.taken == [b"a", b"b"]


@in_virtual_time
async def test_a_provider_that_falls_silent_is_left() -> None:
    """What came was given; the slot is free."""
    spring, taker = FedProvider(), Taker()
    service = over(spring, silent=0.05)
    await spring.feed.put(b"a")
    assert code(await service.completions.stream(asked(), taker)) == "timeout"
    assert (taker.taken, spring.running, service.kernel.calls.idle) == ([b"a"], 0, True)


@in_virtual_time
async def test_a_caller_who_takes_nothing_is_left() -> None:
    """Such a caller holds a slot that others wait for."""
    spring, taker = FedProvider(), Taker()
    service = over(spring, silent=0.05)
    taker.open.clear()
    await spring.feed.put(b"a")
    await spring.feed.put(b"b")
    assert code(await service.completions.stream(asked(), taker)) == "timeout"
    assert (taker.taken, spring.running, service.kernel.calls.idle) == ([b"a"], 0, True)


@in_virtual_time
async def test_whoever_moves_on_is_not_silent() -> None:
    """Many short pauses in a row are no silence, and a long stream is none."""
    spring, taker = FedProvider(), Taker()
    service = over(spring, silent=1.0)
    task = asyncio.create_task(service.completions.stream(asked(), taker))
    for count in range(1, 10):
        await asyncio.sleep(0.9)
        await spring.feed.put(b"a")
        await taker.has(count)
    await spring.feed.put(None)
    assert code(await task) == "ok"


@in_virtual_time
async def test_a_provider_at_work_is_not_silent() -> None:
    """Its comments while a model thinks count, and reach the caller."""
    spring, taker = FedProvider(), Taker()
    service = over(spring, silent=1.0)
    task = asyncio.create_task(service.completions.stream(asked(), taker))
    await spring.feed.put(b"a")
    for count in range(2, 6):
        await asyncio.sleep(0.9)
        await spring.feed.put(b"")
        await taker.has(count)
    await spring.feed.put(None)
    assert code(await task) == "ok"
    assert taker.taken == [b"a", *[b""] * 4]


@in_virtual_time
async def test_an_endless_stream_ends() -> None:
    """However lively it is."""
    spring, taker = FedProvider(), Taker()
    service = over(spring, total=0.1)

    async def feed() -> None:
        while True:
            await spring.feed.put(b"a")
            await asyncio.sleep(0.01)

    feeding = asyncio.create_task(feed())
    assert code(await service.completions.stream(asked(), taker)) == "timeout"
    feeding.cancel()
    assert service.kernel.calls.idle


@in_virtual_time
async def test_before_the_first_event_it_is_retried_as_any_call() -> None:
    """Nothing was shown yet, and a refusal cost nothing."""
    spring, taker = FedProvider(), Taker()
    service = over(spring)
    for item in (refusal(), b"a", None):
        await spring.feed.put(item)
    assert code(await service.completions.stream(asked(), taker)) == "ok"
    assert (taker.taken, len(spring.calls)) == ([b"a"], 2)


@in_virtual_time
async def test_a_reused_connection_that_was_closed_is_tried_once_more() -> None:
    """The provider had most likely not begun; twice in a row it may have, and a third try could be paid for again."""
    spring, taker = FedProvider(), Taker()
    service = over(spring)
    closed = UpstreamUnreachable(retryable=True, once=True)
    for item in (closed, closed, b"a", None):
        await spring.feed.put(item)
    assert code(await service.completions.stream(asked(), taker)) == "upstream_unreachable"
    assert (taker.taken, len(spring.calls)) == ([], 2)


@in_virtual_time
async def test_after_the_first_event_nothing_is_retried() -> None:
    """The caller has a part of it; the failure is what ends it."""
    spring, taker = FedProvider(), Taker()
    service = over(spring)
    for item in (b"a", UpstreamUnreachable(retryable=True)):
        await spring.feed.put(item)
    assert code(await service.completions.stream(asked(), taker)) == "upstream_unreachable"
    assert (taker.taken, len(spring.calls)) == ([b"a"], 1)


@in_virtual_time
async def test_a_stream_of_nothing_is_an_empty_answer() -> None:
    """Never a success."""
    spring = FedProvider()
    await spring.feed.put(None)
    assert code(await over(spring).completions.stream(asked(), Taker())) == "empty_response"


@in_virtual_time
async def test_a_caller_who_leaves_ends_the_providers_call() -> None:
    """While waiting for the provider, and while receiving."""
    spring, taker = FedProvider(), Taker()
    service = over(spring)
    task = asyncio.create_task(service.completions.stream(asked(), taker))
    await spring.feed.put(b"a")
    await taker.has(1)
    task.cancel()
    async with asyncio.timeout(PATIENCE):
        await spring.ended.wait()
    await asyncio.gather(task, return_exceptions=True)
    taker.error = ConnectionResetError()
    await spring.feed.put(b"b")
    with pytest.raises(ConnectionResetError):
        await service.completions.stream(asked(), taker)
    assert spring.running == 0
    assert service.kernel.calls.idle
    assert service.log.codes == {"cancelled": 2}
    assert service.kernel.calls.pool.providers[0].limit.breaker.state == "closed"


@in_virtual_time
async def test_a_stream_waits_for_its_turn_like_all() -> None:
    """One slot, held by a stream: the next one comes when it ends."""
    spring, first, second = FedProvider(), Taker(), Taker()
    service = over(spring, CONCURRENCY="1")
    tasks = [
        asyncio.create_task(service.completions.stream(asked(user=u), t)) for u, t in (("a", first), ("b", second))
    ]
    await spring.feed.put(b"a")
    await first.has(1)
    assert (service.kernel.calls.gate.waiting, second.taken) == (1, [])
    for item in (None, b"b", None):
        await spring.feed.put(item)
    assert [code(failure) for failure in await asyncio.gather(*tasks)] == ["ok", "ok"]
    assert second.taken == [b"b"]


@in_virtual_time
async def test_the_first_event_shows_that_the_provider_is_back() -> None:
    """Others are let in while the probe's stream goes on."""
    spring, taker = FedProvider(), Taker()
    service = over(spring)
    limit = service.kernel.calls.pool.providers[0].limit
    for _ in range(FAILURES_TO_OPEN[UpstreamError]):
        limit.breaker.failed(UpstreamError("down"), service.clock())
    assert limit.breaker.state == "open"
    await asyncio.sleep(1.0)
    task = asyncio.create_task(service.completions.stream(asked(), taker))
    await spring.feed.put(b"a")
    await taker.has(1)
    assert limit.breaker.state == "closed"
    await spring.feed.put(None)
    assert code(await task) == "ok"


@in_virtual_time
async def test_a_long_stream_shuts_nobody_out() -> None:
    """What a call needs until it answers is a stream's first event; how long it goes on then is its slot's affair."""
    spring, long, second, third = FedProvider(), Taker(), Taker(), Taker()
    service = over(spring, silent=100.0, total=1000.0)
    calls = service.kernel.calls
    first = asyncio.create_task(service.completions.stream(asked(), long))
    await spring.feed.put(b"a")
    await long.has(1)
    await asyncio.sleep(60.0)
    await spring.feed.put(None)
    assert code(await first) == "ok"
    assert calls.pool.providers[0].limit.holding >= 60.0
    task = asyncio.create_task(service.completions.stream(asked(user="ben"), second))
    await spring.feed.put(b"b")
    await second.has(1)
    other = asyncio.create_task(service.completions.stream(asked(user="eve"), third))
    async with asyncio.timeout(PATIENCE):
        await spring.reached(3)
    await spring.feed.put(None)
    assert code(await task) == "ok"
    for item in (b"c", None):
        await spring.feed.put(item)
    assert code(await other) == "ok"


@in_virtual_time
async def test_draining_lets_a_stream_end_within_the_grace() -> None:
    """And ends it when the grace is over, as what it is."""
    spring, taker = FedProvider(), Taker()
    service = over(spring)
    task = asyncio.create_task(service.completions.stream(asked(), taker))
    await spring.feed.put(b"a")
    await taker.has(1)
    service.drain.begin(PATIENCE)
    await spring.feed.put(b"b")
    await taker.has(2)
    service.drain.begin(0.02)
    assert code(await task) == "shutting_down"
    assert spring.running == 0
