"""A provider in trouble refuses some of all calls: that is no limit, and a limit is not taken for such trouble."""

import math
from statistics import mean, median

import pytest

from sidecar.engine.limiter.grant import Grant
from sidecar.engine.limiter.rechecks import AMONG, CALLS, FALLS, Rechecks
from tests.support.bursts import Burst, burst, service_at
from tests.support.odd_providers import Troubled
from tests.support.virtual_time import run
from tests.support.worlds import Voice, World, ideal


def burst_in_trouble(world: World, share: float, seed: int) -> Burst:
    async def scene() -> Burst:
        provider = Troubled(world, share, seed=seed)
        return await burst([service_at(provider, world)], provider, world)

    return run(scene())


@pytest.mark.parametrize("voice", ["503", "529"])
@pytest.mark.parametrize(("share", "answered"), [(0.1, 400), (0.2, 340), (0.3, 310)])
def test_a_class_is_answered_though_calls_are_refused_by_chance(voice: Voice, share: float, answered: int) -> None:
    """The provider would take 64 at once: three refusals among ten calls do not make it a small one."""
    world = World(name="", slots=((64, math.inf),), hold=1.0, voice=voice)
    bursts = [burst_in_trouble(world, share, seed) for seed in range(1, 9)]
    assert mean(len(told.answered) for told in bursts) >= answered
    assert median(told.last for told in bursts) <= 2 * ideal(world).last


def test_a_full_provider_in_trouble_is_still_found_full() -> None:
    """Refusals by chance hide no limit: calls are not thrown at sixteen slots without end."""
    world = World(name="", slots=((16, math.inf),), hold=0.6, voice="529")
    bursts = [burst_in_trouble(world, 0.1, seed) for seed in range(1, 6)]
    assert {len(told.answered) for told in bursts} == {400}
    assert max(told.refused for told in bursts) <= 0.35 * 400
    assert max(told.last for told in bursts) <= 1.3 * ideal(world).last


def call(number: int, at: float = 0.0) -> Grant:
    grant = Grant(at, 0, 4)
    grant.number = number
    return grant


def rechecks_under_test(*, rate: float = 10.0) -> Rechecks:
    """Return rechecks whose first test is open: four falls among few calls, each beside four others."""
    rechecks = Rechecks()
    for number in range(1, FALLS + 1):
        rechecks.fell(call(number), 0.003, before=64.0, others=4, rate=rate)
    return rechecks


def test_falls_that_are_far_apart_begin_no_test() -> None:
    rechecks = Rechecks()
    for number in range(1, FALLS + 1):
        rechecks.fell(call(number * AMONG), 0.003, before=64.0, others=4, rate=10.0)
        assert not rechecks.due(0.003)


def test_admitted_calls_beside_as_many_bring_the_limit_back() -> None:
    rechecks = rechecks_under_test()
    levels = []
    for number in (5, 6):
        assert rechecks.due(0.003)
        rechecks.sent(grant := call(number, 0.003))
        assert not rechecks.due(0.003)
        levels.append(rechecks.admitted(grant, 0.003, 4))
    assert levels == [None, 64.0]
    assert rechecks.believed


def test_admitted_calls_beside_fewer_prove_nothing() -> None:
    rechecks = rechecks_under_test()
    for number in range(5, 50):
        rechecks.sent(grant := call(number, 0.003))
        assert rechecks.admitted(grant, 0.003, 3) is None
    assert not rechecks.believed


def test_two_refused_calls_say_that_the_provider_is_full() -> None:
    rechecks = rechecks_under_test()
    for number in (5, 6):
        assert rechecks.due(0.003)
        rechecks.sent(grant := call(number, 0.003))
        assert not rechecks.refused(grant, 0.003)
    assert not rechecks.due(0.003)
    assert not rechecks.believed


def test_calls_that_end_meanwhile_make_a_test_say_nothing() -> None:
    """Where so many calls end while a call is refused that a full provider would admit it, none is sent for a test."""
    assert not rechecks_under_test(rate=200.0).due(0.003)


def test_a_test_ends() -> None:
    """However its calls end, and if nobody waits: no test sends calls for ever."""
    rechecks = rechecks_under_test()
    for number in range(5, 5 + CALLS):
        rechecks.sent(grant := call(number, 0.003))
        rechecks.over(grant)
    assert not rechecks.due(0.5)
    assert rechecks.due(0.05)


def test_chance_is_believed_no_more_where_calls_are_refused_in_a_row() -> None:
    rechecks = rechecks_under_test()
    for number in (5, 6):
        rechecks.sent(grant := call(number, 0.003))
        rechecks.admitted(grant, 0.003, 4)
    fallen = []
    for number in range(7, 60):
        rechecks.fell(call(number), 0.003, before=64.0, others=4, rate=10.0)
        if not rechecks.due(0.003):
            break
        rechecks.sent(grant := call(number, 0.003))
        fallen.append(rechecks.refused(grant, 0.003))
    assert not rechecks.believed
    assert any(fallen)
