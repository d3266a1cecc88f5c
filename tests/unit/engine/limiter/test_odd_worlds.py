"""Classes at providers whose limits are windows, whose refusals are slow, or whose gateway has other words for them."""

import asyncio
import math

import pytest

from tests.support.bursts import Burst, burst, burst_of, service_at
from tests.support.odd_providers import Gateway, Grown, Windowed, best_of_windows
from tests.support.simulated_provider import SimulatedProvider
from tests.support.virtual_time import run
from tests.support.worlds import Bucket, World, ideal

FOREVER = math.inf
CROWD = "Too many people are asking right now. Please try again in a moment."


def burst_at(provider: SimulatedProvider) -> Burst:
    async def scene() -> Burst:
        return await burst([service_at(provider, provider.world)], provider, provider.world)

    return run(scene())


def test_windows_of_calls_answer_the_class() -> None:
    """A provider that admits all of a window at once, and then nothing, gets the next window's calls without delay."""
    world = World(name="")
    told = burst_at(Windowed(world, 100, 5.0, sliding=True))
    assert len(told.answered) == 400
    assert told.last <= 1.3 * best_of_windows(world, 100, 5.0)


@pytest.mark.parametrize(
    "world",
    [
        World(name="slots", slots=((16, FOREVER),), hold=0.6, refusing=0.2),
        World(name="bucket", requests=Bucket(20, 10), hold=0.6, refusing=0.5),
    ],
    ids=lambda world: world.name,
)
def test_a_slow_refusal_says_how_many_ran_when_its_call_was_sent(world: World) -> None:
    """Calls that the provider admitted may have ended by then, and calls to be refused held their places."""
    told = burst_of(world)
    assert len(told.answered) == 400
    assert told.last <= 1.12 * ideal(world).last


@pytest.mark.parametrize("status", [500, 502, 504])
def test_an_error_of_a_full_gateway_is_a_refusal(status: int) -> None:
    """While other calls are answered, an error that comes at once costs its caller nothing but the turn."""
    world = World(name="", slots=((16, FOREVER),), hold=0.6, callers=300)
    told = burst_at(Gateway(world, status))
    assert len(told.answered) == 300
    assert told.last <= 1.12 * ideal(world).last
    assert told.refused <= 0.2 * 300


def test_one_text_that_makes_the_server_fail_is_given_up_soon() -> None:
    """Its caller hears of the error, after a few attempts; the class hears nothing of it."""
    world = World(name="", slots=((16, FOREVER),), hold=0.6, callers=200)
    provider = Gateway(world, 500, poison="123 word")
    told = burst_at(provider)
    assert len(told.answered) == 199
    assert [heard.code for heard in told.failed] == ["upstream_error"]
    assert provider.poisoned <= 5
    assert told.last <= 1.15 * ideal(world).last


def test_a_provider_without_any_server_is_down_after_twenty_errors() -> None:
    """Errors of a provider that answers nothing are no refusals."""
    world = World(name="", slots=((0, FOREVER),), callers=100)
    provider = Gateway(world, 502)
    told = burst_at(provider)
    assert {heard.code for heard in told.failed} == {"upstream_error"}
    assert max(heard.seconds for heard in told.failed) < 1.0
    assert provider.received <= 100


def test_an_old_limit_turns_no_class_away() -> None:
    """A limit found minutes ago is no fact: the provider may take ten times as many by now."""
    world = World(name="", slots=((6, FOREVER),), hold=1.2, callers=300)

    async def scene() -> tuple[Burst, Burst]:
        provider = Grown(world, later=64, at=asyncio.get_running_loop().time() + 60)
        service = service_at(provider, world)
        first = await burst([service], provider, world)
        await asyncio.sleep(120)
        return first, await burst([service], provider, world, named="later: ")

    first, second = run(scene())
    assert {heard.words for heard in first.failed} == {CROWD}
    assert len(second.answered) == 300
