"""The engine and time: every reply by its deadline, no wait that is in vain, and nothing held afterwards."""

import asyncio

import pytest

from sidecar.core.errors import Overloaded, UpstreamAuth, UpstreamUnreachable
from sidecar.engine.limiter.breaker import FAILURES_TO_OPEN
from tests.support.engines import code, measured, request_of, service_over
from tests.support.held_provider import HeldUpstream
from tests.support.scripted_calls import refusal, settle
from tests.support.virtual_time import in_virtual_time


@in_virtual_time
async def test_the_deadline_ends_a_silent_provider() -> None:
    """The caller hears in time, and the provider's call is ended."""
    upstream = HeldUpstream(held=True)
    service = service_over(upstream)
    outcome = await service.engine.answer(request_of(seconds=0.05))
    assert code(outcome) == "timeout"
    assert upstream.left.is_set()
    assert service.kernel.calls.idle


@in_virtual_time
async def test_a_caller_who_leaves_ends_the_call() -> None:
    """Cancelling the request's task cancels the provider's call and frees the slot."""
    upstream = HeldUpstream(held=True)
    service = service_over(upstream)
    task = asyncio.create_task(service.engine.answer(request_of()))
    await upstream.reached()
    task.cancel()
    await upstream.left.wait()
    assert (await asyncio.gather(task, return_exceptions=True))[0].__class__ is asyncio.CancelledError
    assert service.kernel.calls.idle


@in_virtual_time
async def test_draining_ends_what_runs_after_the_grace() -> None:
    """A request that is under way when the time to drain is over hears `shutting_down`."""
    upstream = HeldUpstream(held=True)
    service = service_over(upstream)
    task = asyncio.create_task(service.engine.answer(request_of()))
    await upstream.reached()
    service.drain.begin(0.02)
    assert code(await task) == "shutting_down"


@in_virtual_time
async def test_draining_lets_what_runs_end() -> None:
    """Within the grace an accepted request gets its answer."""
    upstream = HeldUpstream(held=True)
    service = service_over(upstream)
    task = asyncio.create_task(service.engine.answer(request_of()))
    await upstream.reached()
    service.drain.begin(30.0)
    upstream.gate.set()
    assert code(await task) == "ok"


@in_virtual_time
async def test_draining_waits_for_joiners_too() -> None:
    """Who joined work under way holds no place, and is waited for all the same."""
    upstream = HeldUpstream(held=True)
    service = service_over(upstream)
    leader = asyncio.create_task(service.engine.answer(request_of("A page.", "summarize")))
    await upstream.reached()
    joiner = asyncio.create_task(service.engine.answer(request_of("A page.", "summarize", user="ben")))
    await settle()
    service.drain.begin(30.0)
    leader.cancel()
    emptied = asyncio.create_task(service.drain.emptied())
    await settle()
    assert not emptied.done()
    upstream.gate.set()
    assert code(await joiner) == "ok"
    await emptied


@in_virtual_time
async def test_what_cannot_be_done_in_time_is_refused_at_once() -> None:
    """With a measured second a call and a full gate, a caller with little time hears it now, and when to come back."""
    upstream = HeldUpstream(held=True)
    service = service_over(upstream, concurrency=1)
    measured(service, 1.0)
    tasks = [asyncio.create_task(service.engine.answer(request_of(str(n), user=str(n)))) for n in range(5)]
    await upstream.reached()
    outcome = await service.engine.answer(request_of(seconds=3.0))
    assert code(outcome) == "overloaded"
    assert outcome.retry_after is not None
    assert 2.0 < outcome.retry_after < 4.0
    upstream.gate.set()
    await asyncio.gather(*tasks)


@in_virtual_time
async def test_a_provider_that_is_down_is_not_called() -> None:
    """Callers hear the code of what opened the breaker, without a call."""
    upstream = HeldUpstream()
    upstream.failure = UpstreamAuth(status=401)
    service = service_over(upstream)
    codes = [code(await service.engine.answer(request_of())) for _ in range(10)]
    assert codes == ["upstream_auth"] * 10
    assert len(upstream.calls) == 3


@in_virtual_time
async def test_a_call_from_before_the_outage_keeps_no_probe_waiting() -> None:
    """It may go on for minutes; meanwhile one newcomer at a time may show that the provider is back."""
    upstream = HeldUpstream(held=True)
    service = service_over(upstream)
    calls = service.kernel.calls
    old = asyncio.create_task(service.engine.answer(request_of("old")))
    await upstream.reached()
    for _ in range(FAILURES_TO_OPEN[UpstreamUnreachable]):
        calls.pool.providers[0].limit.breaker.failed(UpstreamUnreachable(), calls.clock())
    calls.review_waiting()
    await asyncio.sleep(0.5)
    assert code(await service.engine.answer(request_of())) == "upstream_unreachable"
    await asyncio.sleep(1.0)
    probe = asyncio.create_task(service.engine.answer(request_of("probe", user="ben")))
    await upstream.reached(2)
    assert code(await service.engine.answer(request_of(user="cleo"))) == "upstream_unreachable"
    assert calls.gate.running == 2
    upstream.gate.set()
    assert [code(await old), code(await probe)] == ["ok", "ok"]
    assert (calls.pool.providers[0].limit.breaker.state, calls.pool.providers[0].limit.slots) == ("closed", 4)


@in_virtual_time
async def test_an_idle_engine_tries_whatever_was_measured() -> None:
    """One slow hour must not refuse callers for ever: with nothing under way a try is made."""
    service = service_over(HeldUpstream())
    measured(service, 600.0)
    for _ in range(3):
        assert code(await service.engine.answer(request_of(context="A long page. " * 300))) == "ok"


@in_virtual_time
async def test_a_pause_longer_than_the_deadline_is_the_providers_limit() -> None:
    """Callers hear `rate_limited` and for how long, not that too many people are asking."""
    upstream = HeldUpstream(held=True)
    upstream.failure = refusal(retry_after=40.0)
    service = service_over(upstream)
    refused = asyncio.create_task(service.engine.answer(request_of()))
    await upstream.reached()
    upstream.gate.set()
    await settle()
    outcome = await service.engine.answer(request_of(seconds=1.0, user="ben"))
    assert code(outcome) == "rate_limited"
    assert outcome.retry_after == pytest.approx(2.0)
    upstream.failure = None
    assert code(await refused) == "ok"


@in_virtual_time
async def test_who_waits_when_a_long_pause_begins_hears_it_at_once() -> None:
    """A late no costs the caller twice: a caller who cannot be served before the deadline is not kept until then."""
    upstream = HeldUpstream(held=True)
    upstream.failure = refusal(retry_after=40.0)
    service = service_over(upstream, concurrency=1)
    asked = [asyncio.create_task(service.engine.answer(request_of(str(n), user=str(n), seconds=1.0))) for n in range(3)]
    long = asyncio.create_task(service.engine.answer(request_of(seconds=50.0)))
    await upstream.reached()
    upstream.gate.set()
    started = service.clock()
    outcomes = await asyncio.gather(*asked)
    assert service.clock() == started
    assert [code(outcome) for outcome in outcomes] == ["rate_limited"] * 3
    assert [outcome.retry_after for outcome in outcomes] == [pytest.approx(2.0)] * 3
    assert (len(upstream.calls), service.kernel.calls.gate.waiting) == (1, 1)
    long.cancel()
    await asyncio.wait((long,))


@in_virtual_time
async def test_a_further_call_does_not_wait_for_what_comes_too_late() -> None:
    """The context's summary met the limit; the chat after it hears so too, and not at its deadline."""
    upstream = HeldUpstream()
    upstream.failure = refusal(retry_after=40.0)
    service = service_over(upstream)
    started = service.clock()
    outcome = await service.engine.answer(request_of(context="A long page. " * 300, seconds=1.5))
    assert code(outcome) == "rate_limited"
    assert (len(upstream.calls), service.clock()) == (1, started)


@in_virtual_time
async def test_a_full_queue_names_the_wait_for_its_work() -> None:
    """Retry-After comes from what is held and the measured rate of answers; where all came at once, of all slots."""
    service = service_over(HeldUpstream())
    places = [service.admission.admit() for _ in range(8)]
    refusal = Overloaded()
    service.log.refused(refusal, route="ai", request_id="r")
    assert refusal.retry_after == 8.0
    measured(service, 0.5)
    refusal = Overloaded()
    service.log.refused(refusal, route="ai", request_id="r")
    assert refusal.retry_after == 8 * 0.5 / 4
    for place in places:
        service.admission.release(place)
