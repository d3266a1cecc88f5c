"""Bursts at several providers, in virtual time: everybody is answered as if the providers were one large one."""

import asyncio
import logging

import msgspec
import pytest

from sidecar.core.contract import Request
from sidecar.core.errors import EmptyResponse, ModelUnknown, RateLimited, UpstreamAuth, UpstreamFailure
from sidecar.core.ports import Call
from sidecar.engine.deadline import Deadline
from sidecar.engine.limiter.ticket import Ticket
from sidecar.engine.limiter.trace import Trace
from tests.support.bursts import burst, service_at
from tests.support.engines import request_of
from tests.support.simulated_pool import MortalProvider, Unstored, pool_of
from tests.support.virtual_time import in_virtual_time
from tests.support.worlds import World, ideal

FOREVER = float("inf")
SIXTEEN = World(name="16 slots", slots=((16, FOREVER),), hold=0.6, callers=600)
BOTH = msgspec.structs.replace(SIXTEEN, slots=((32, FOREVER),))


@in_virtual_time
async def test_two_providers_are_as_good_as_a_large_one() -> None:
    """600 callers at twice 16 slots in OpenAI's words: all answered, the last at most 1.15 x the ideal of 32 slots."""
    providers = [MortalProvider(SIXTEEN), MortalProvider(SIXTEEN)]
    result = await burst([service_at(pool_of(providers), SIXTEEN)], providers[0], SIXTEEN)
    assert not result.failed
    assert result.last <= 1.15 * ideal(BOTH).last
    assert min(provider.answered for provider in providers) > 250
    assert sum(provider.answered for provider in providers) == SIXTEEN.callers


@in_virtual_time
async def test_a_provider_that_dies_takes_nobody_along_but_those_it_was_answering() -> None:
    """Its answers are cut, which may have been paid for; every other caller is answered by the one that is left."""
    providers = [MortalProvider(SIXTEEN), MortalProvider(SIXTEEN)]
    world = msgspec.structs.replace(SIXTEEN, callers=400)
    service = service_at(pool_of(providers), world)
    coming = asyncio.create_task(burst([service], providers[0], world))
    await asyncio.sleep(3.0)
    under_way = service.kernel.calls.pool.providers[0].running
    providers[0].die()
    result = await coming
    assert 0 < under_way == providers[0].cut == len(result.failed)
    assert {failed.code for failed in result.failed} == {"upstream_error"}
    assert sum(provider.answered for provider in providers) == world.callers - under_way


@in_virtual_time
@pytest.mark.parametrize(
    "failure",
    [
        UpstreamAuth(status=401),
        RateLimited("used up", status=429, scope="account"),
        ModelUnknown(status=404, scope="request"),
    ],
    ids=["key", "account", "model"],
)
async def test_a_refused_key_account_or_model_is_passed_over(
    failure: UpstreamFailure, caplog: pytest.LogCaptureFixture
) -> None:
    """The first calls are refused and go on to the other provider; soon only a probe comes, and the log says so."""
    caplog.set_level(logging.INFO, "sidecar")
    first, second = MortalProvider(SIXTEEN), MortalProvider(SIXTEEN)
    first.die(failure)
    world = msgspec.structs.replace(SIXTEEN, callers=200)
    pool = pool_of([first, second], priorities=(1, 2))
    service = service_at(pool, world)
    result = await burst([service], second, world)
    assert not result.failed
    assert second.answered == world.callers
    assert pool.providers[0].down
    [line] = [record.__dict__["fields"] for record in caplog.records if record.getMessage() == "provider_down"]
    assert (line["provider"], line["code"]) == ("0", failure.code)
    first.dead = None
    await asyncio.sleep(11.0)
    assert not (await burst([service], second, world, named="again ")).failed
    assert "provider_back" in {record.getMessage() for record in caplog.records}


@in_virtual_time
async def test_a_dead_provider_is_found_again() -> None:
    """Once it is back, its probe says so and callers go there again."""
    first, second = MortalProvider(SIXTEEN), MortalProvider(SIXTEEN)
    first.die()
    pool = pool_of([first, second], priorities=(1, 2))
    service = service_at(pool, SIXTEEN)
    world = msgspec.structs.replace(SIXTEEN, callers=50)
    assert not (await burst([service], second, world)).failed
    assert (pool.providers[0].limit.breaker.state, pool.limit.breaker.state) == ("open", "closed")
    first.dead = None
    await asyncio.sleep(11.0)
    assert not (await burst([service], second, world, named="again ")).failed
    assert pool.providers[0].limit.breaker.state == "closed"
    assert first.answered > 15


@in_virtual_time
async def test_what_the_first_refuses_goes_to_the_second_at_once() -> None:
    """Spillover to a second priority within 50 ms of the first one's refusal, and never before it is full."""
    small = msgspec.structs.replace(SIXTEEN, slots=((4, FOREVER),), callers=12, within=0.01)
    first, second = MortalProvider(small), MortalProvider(SIXTEEN)
    start = asyncio.get_running_loop().time()
    result = await burst([service_at(pool_of([first, second], priorities=(1, 2)), small)], first, small)
    assert not result.failed
    assert (first.answered, second.answered) == (4, 8)
    assert max(second.came) - start < small.within + small.refusing + 2 * small.away + 0.05
    assert result.last < 2 * small.hold


@in_virtual_time
async def test_an_idle_evening_stays_with_the_first_priority() -> None:
    """Callers one after another never leave it."""
    first, second = MortalProvider(SIXTEEN), MortalProvider(SIXTEEN)
    world = msgspec.structs.replace(SIXTEEN, callers=20, within=40.0)
    assert not (await burst([service_at(pool_of([first, second], priorities=(1, 2)), world)], first, world)).failed
    assert (first.answered, second.answered) == (20, 0)


@in_virtual_time
async def test_texts_of_a_class_stay_with_its_providers() -> None:
    """Jobs only at the local model, callers only elsewhere, although the other one has room, is full or is dead."""
    cloud, local = MortalProvider(SIXTEEN), MortalProvider(SIXTEEN)
    pool = pool_of([cloud, local], classes=(frozenset({"interactive", "background"}), frozenset({"jobs"})))
    service = service_at(pool, SIXTEEN)

    async def job(number: int) -> str:
        request = Request(action="analyze", content=f"job {number} words", user_id="")
        until = service.clock() + 60.0
        return await service.background.text(request, Unstored(), Trace(), deadline=until, background=True)

    jobs = [asyncio.create_task(job(number)) for number in range(100)]
    world = msgspec.structs.replace(SIXTEEN, callers=200)
    result = await burst([service], cloud, world, named="caller ")
    assert not result.failed
    assert len(await asyncio.gather(*jobs)) == 100
    cloud.die()
    for _ in range(8):
        outcome = await service.engine.answer(request_of("caller later", seconds=5.0))
        assert outcome.reply.code == "upstream_unreachable"
    assert all("caller" in text for text in cloud.texts)
    assert all("job" in text for text in local.texts)
    assert (len(set(cloud.texts)), len(set(local.texts))) == (200, 100)


@in_virtual_time
async def test_a_call_that_may_have_been_worked_on_never_moves() -> None:
    """A blank answer, a cut or an error is the call's end: a second provider could be a second bill."""
    for failure in (EmptyResponse(status=200), UpstreamAuth(status=401)):
        first, second = MortalProvider(SIXTEEN), MortalProvider(SIXTEEN)
        first.die(failure)
        calls = service_at(pool_of([first, second], priorities=(1, 2)), SIXTEEN).kernel.calls
        trace, deadline = Trace(), Deadline(calls.clock() + 9.0)
        call = Call(messages=({"role": "user", "content": "x"},), max_tokens=10)
        if isinstance(failure, UpstreamAuth):
            await calls.complete(call, Ticket("anna"), trace, deadline=deadline)
            assert (trace.calls, trace.provider) == (2, "1")
            continue
        with pytest.raises(EmptyResponse):
            await calls.complete(call, Ticket("anna"), trace, deadline=deadline)
        assert (trace.calls, second.answered) == (1, 0)


@in_virtual_time
async def test_calls_in_flight_end_at_a_provider_that_was_taken_out() -> None:
    """New providers take over what waits and comes; the old one ends its own, and its limit is left alone."""
    old, new = MortalProvider(SIXTEEN), MortalProvider(SIXTEEN)
    service = service_at(pool_of([old]), SIXTEEN)
    calls, world = service.kernel.calls, msgspec.structs.replace(SIXTEEN, callers=100, within=0.1)
    coming = asyncio.create_task(burst([service], old, world))
    await asyncio.sleep(0.3)
    (before,) = calls.pool.providers
    calls.pool.replace(pool_of([new]).providers)
    await before.emptied()
    assert before.running == 0
    assert not (await coming).failed
    assert (old.cut, old.answered, new.answered) == (0, 16, 84)
