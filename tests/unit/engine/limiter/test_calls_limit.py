"""What the limit and the breaker learn from calls, and what those who wait hear of it."""

import asyncio
import itertools

import pytest

from sidecar.core.errors import RateLimited, UpstreamError, UpstreamUnreachable
from sidecar.engine.limiter.breaker import FAILURES_TO_OPEN
from sidecar.engine.limiter.limit import FORGOTTEN
from sidecar.engine.limiter.waits import expected_wait
from tests.support.scripted_calls import OK, Bench, Script, refusal, settle
from tests.support.virtual_time import in_virtual_time


@in_virtual_time
async def test_a_refusal_in_silence_holds_the_gate_and_lets_it_go() -> None:
    """While a pause goes on no call starts; afterwards those that wait go on by themselves, in their order."""
    bench = Bench(Script(refusal(retry_after=1.0), OK))
    started = bench.now()
    refused = asyncio.create_task(bench.complete())
    await settle()
    waiting = asyncio.create_task(bench.complete(user="ben"))
    await settle()
    assert (bench.calls.gate.running, bench.calls.gate.waiting) == (0, 2)
    assert (await refused, await waiting) == (OK, OK)
    assert bench.script.users == ["anna", "anna", "ben"]
    assert bench.script.called[1] - started >= 1.0


@in_virtual_time
async def test_who_waits_and_cannot_outwait_a_pause_hears_it_at_once() -> None:
    """A late no costs the caller twice; callers with more time stay in the queue and are served."""
    bench = Bench(Script(refusal(retry_after=2.0), OK, failing=0.1), concurrency=1)
    patient, started = asyncio.create_task(bench.complete()), bench.now()
    await settle()
    hasty = asyncio.create_task(bench.complete(left=1.0, user="ben"))
    with pytest.raises(RateLimited) as told:
        await hasty
    assert told.value.retry_after == pytest.approx(2.0)
    assert bench.now() - started == pytest.approx(0.1)
    assert await patient == OK


@in_virtual_time
async def test_when_the_provider_is_down_nobody_waits() -> None:
    """The failure that opens the breaker ends every wait in the queue with its own words."""
    script = Script(UpstreamUnreachable())
    script.gate = asyncio.Event()
    bench = Bench(script, concurrency=FAILURES_TO_OPEN[UpstreamUnreachable])
    tasks = bench.start(50)
    await settle()
    script.gate.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(result) for result in results} == {UpstreamUnreachable}
    assert script.calls < 2 * FAILURES_TO_OPEN[UpstreamUnreachable]
    assert len({id(result) for result in results}) > 40
    assert bench.calls.idle


@in_virtual_time
async def test_a_burst_after_a_quiet_time_is_not_held_to_an_old_limit() -> None:
    """The limit forgets by itself; the gate hears so with the first call and not with its end."""
    bench = Bench(Script(OK, refusal(), refusal(), refusal(), OK, seconds=0.1))
    await asyncio.gather(*bench.start(4))
    assert bench.calls.pool.providers[0].limit.found < 4
    await asyncio.sleep(FORGOTTEN + 1)
    bench.script.gate = asyncio.Event()
    asked = bench.start(4)
    await settle()
    assert bench.calls.gate.running == 4
    bench.script.gate.set()
    await asyncio.gather(*asked)


@in_virtual_time
async def test_a_probe_that_succeeds_lets_everybody_in_again() -> None:
    """After the cooldown one call goes through; with its answer the gate is wide open."""
    bench = Bench(Script(*[UpstreamUnreachable()] * 5, OK))
    for _ in range(5):
        with pytest.raises(UpstreamUnreachable):
            await bench.complete()
    assert bench.calls.pool.providers[0].limit.breaker.state == "open"
    await asyncio.sleep(2.0)
    assert await bench.complete() == OK
    assert bench.calls.pool.providers[0].limit.breaker.state == "closed"
    assert bench.calls.pool.providers[0].limit.slots == 4


@in_virtual_time
async def test_a_probe_is_sent_on_a_clock_that_never_stands_still() -> None:
    """Real clocks move between two looks at them; the call that shows whether the provider is back is sent anyway."""
    time, ticks = asyncio.get_running_loop().time, itertools.count()
    bench = Bench(Script(*[UpstreamUnreachable()] * 5, OK), clock=lambda: time() + next(ticks) * 1e-9)
    for _ in range(5):
        with pytest.raises(UpstreamUnreachable):
            await bench.complete()
    await asyncio.sleep(2.0)
    probe = asyncio.create_task(bench.complete())
    await settle()
    assert (bench.script.calls, probe.done()) == (6, True)
    assert await probe == OK


@in_virtual_time
async def test_an_outage_that_ends_in_a_refusal_is_over() -> None:
    """A provider that refuses the probe for want of room does its work: the probe stays in line and is answered."""
    bench = Bench(Script(*[UpstreamError(status=500)] * 20, refusal(retry_after=0.5), OK))
    for _ in range(20):
        with pytest.raises(UpstreamError):
            await bench.complete()
    assert bench.calls.pool.providers[0].limit.breaker.state == "open"
    await asyncio.sleep(2.0)
    assert await bench.complete() == OK
    assert bench.calls.pool.providers[0].limit.breaker.state == "closed"
    assert await bench.complete() == OK


@in_virtual_time
async def test_refusals_are_no_outage() -> None:
    """Twenty calls refused with 503 while others are answered open no breaker."""
    busy = UpstreamError(status=503, retryable=True, scope="capacity")
    bench = Bench(Script(OK, *[busy] * (2 * FAILURES_TO_OPEN[UpstreamError]), OK, seconds=0.01))
    assert set(map(type, await asyncio.gather(*bench.start(10, left=600.0)))) == {type(OK)}
    assert bench.calls.pool.providers[0].limit.breaker.state == "closed"


async def cut_off(bench: Bench) -> None:
    """A call that its deadline ends."""
    async with asyncio.timeout(25.0):
        await bench.complete(left=25.0)


@in_virtual_time
async def test_calls_cut_off_while_none_is_answered_are_silence() -> None:
    """Nothing is known of a queue then: the limit stays, and it is one sign that the provider is down."""
    bench = Bench(Script(OK), concurrency=8)
    await bench.complete()
    bench.script.gate = asyncio.Event()
    ends = await asyncio.gather(*[cut_off(bench) for _ in range(4)], return_exceptions=True)
    assert set(map(type, ends)) == {TimeoutError}
    assert bench.calls.pool.providers[0].limit.found == 8
    assert bench.calls.pool.providers[0].limit.breaker.state == "closed"
    assert bench.calls.idle


@in_virtual_time
async def test_a_caller_who_leaves_teaches_nothing() -> None:
    """A closed browser tab says nothing about the provider, and frees the slot."""
    bench = Bench(Script(OK), concurrency=8)
    await bench.complete()
    bench.script.gate = asyncio.Event()
    asked = bench.start(4)
    await asyncio.sleep(20.0)
    for call in asked:
        call.cancel()
    await asyncio.wait(asked)
    assert bench.calls.pool.providers[0].limit.found == 8
    assert bench.calls.idle


@in_virtual_time
async def test_the_wait_is_estimated_from_what_was_measured() -> None:
    """Waiting calls times the measured time of a call over the slots; nothing before the first measurement."""
    bench = Bench(Script(OK, seconds=0.5), concurrency=2)
    assert expected_wait(bench.calls.pool, bench.calls.gate, "anna") == 0.0
    await bench.complete()
    bench.script.gate = asyncio.Event()
    tasks = bench.start(6)
    await settle()
    assert expected_wait(bench.calls.pool, bench.calls.gate, "anna") == pytest.approx((4 + 1) * 0.5 / 2)
    bench.script.gate.set()
    await asyncio.gather(*tasks)


@in_virtual_time
async def test_a_limit_that_is_no_fact_yet_lengthens_no_wait() -> None:
    """Right after a refusal nobody knows how little the provider takes: a wait is told as if all slots were there."""
    bench = Bench(Script(OK, OK, refusal(), OK, seconds=0.5), concurrency=4)
    await bench.complete()
    tasks = bench.start(10, left=600.0)
    while bench.calls.pool.providers[0].limit.found == 4:  # noqa: ASYNC110 - the limit tells nobody
        await asyncio.sleep(0.01)
    assert not bench.calls.pool.providers[0].limit.fact
    ahead = bench.calls.gate.waiting + 1
    assert expected_wait(bench.calls.pool, bench.calls.gate, "anna") == pytest.approx(
        ahead * bench.calls.pool.providers[0].limit.holding / 4
    )
    await asyncio.gather(*tasks)
