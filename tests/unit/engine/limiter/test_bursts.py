"""What the callers of a burst hear, and when: early where it is hopeless, in words that are true."""

import asyncio
import math
from collections.abc import Callable

import pytest

from sidecar.core.errors import UpstreamAuth, UpstreamError
from sidecar.core.ports import Call, Completion
from sidecar.engine.limiter.breaker import TIMED_OUT
from tests.support.bursts import Burst, burst, service_at
from tests.support.simulated_provider import SimulatedProvider
from tests.support.virtual_time import run
from tests.support.worlds import World, ideal

FOREVER = math.inf
REHEARSAL = World(name="the rehearsal's own", slots=((16, FOREVER),), hold=2.0, callers=300)
LATE = "The answer was not ready in time. Please try again."
CROWD = "Too many people are asking right now. Please try again in a moment."

Provider = Callable[[World], SimulatedProvider]


def classes(world: World, count: int, *, pause: float = 60.0, provider: Provider = SimulatedProvider) -> list[Burst]:
    """Some classes one after another at one sidecar, `pause` seconds between them."""

    async def scene() -> list[Burst]:
        at = provider(world)
        service, bursts = service_at(at, world), []
        for number in range(count):
            bursts.append(await burst([service], at, world, named=f"class {number}: "))
            await asyncio.sleep(pause)
        return bursts

    return run(scene())


def hear_early(bursts: Burst, within: float) -> float:
    """Share of those who are not served that hear so within so many seconds."""
    return sum(heard.seconds <= within for heard in bursts.failed) / len(bursts.failed)


def test_who_cannot_be_in_time_hears_so_within_two_seconds() -> None:
    """300 callers, 16 slots, 2 s a call: a hundred are hopeless. They hear it soon, and cost the others nothing."""
    (first, second) = classes(REHEARSAL, 2)
    best = ideal(REHEARSAL).answered
    for burst_ in (first, second):
        assert len(burst_.answered) >= 0.97 * best
        assert {heard.words for heard in burst_.failed} == {CROWD}
        assert hear_early(burst_, 2.0) >= 0.85
    assert hear_early(first, 2.0) >= 0.95
    assert hear_early(second, 0.01) >= 0.8


def test_who_retries_after_the_named_wait_is_answered() -> None:
    """`Retry-After` is true for all of them together, each a little later than the one before."""

    async def scene() -> tuple[list[float], list[str]]:
        provider = SimulatedProvider(REHEARSAL)
        service = service_at(provider, REHEARSAL)
        told = await burst([service], provider, REHEARSAL)
        waits = [heard.retry_after for heard in told.failed if heard.retry_after is not None]
        return waits, [heard.code for heard in told.failed]

    waits, codes = run(scene())
    assert len(waits) == len(codes)
    # The surplus of a hundred takes a hundred times what a call takes of the slots.
    assert max(waits) == pytest.approx(100 * 2.0 / 16, rel=0.15)
    assert len({round(wait, 3) for wait in waits}) > 90


@pytest.mark.parametrize(("hold", "callers"), [(0.5, 400), (2.0, 60), (8.0, 100), (20.0, 30)])
def test_a_queueing_server_with_one_slot_is_learned_in_its_first_burst(hold: float, callers: int) -> None:
    """The next class hears early what cannot be in time; nobody ever hears of an error or an outage."""
    world = World(name="", slots=((1, FOREVER),), queue=True, hold=hold, callers=callers)
    first, *later = classes(world, 4)
    for burst_ in (first, *later):
        assert {heard.words for heard in burst_.failed} <= {LATE, CROWD}
        assert len(burst_.answered) >= 0.66 * min(ideal(world).answered, 25 / hold)
    for burst_ in later:
        assert hear_early(burst_, 1.0) >= 0.9


def test_a_cold_start_and_a_fall_admit() -> None:
    """400 callers in a second at a provider nobody knew: none of them is sent away on a guess."""
    world = World(name="", slots=((16, FOREVER),), hold=0.5)
    (told,) = classes(world, 1)
    assert len(told.answered) == 400


def test_a_warm_class_within_the_limit_is_never_refused() -> None:
    """A provider with room for all of CONCURRENCY sees no probe and no spacing."""
    world = World(name="", slots=((64, FOREVER),), hold=0.3, callers=800)
    for told in classes(world, 2):
        assert (len(told.answered), told.refused) == (800, 0)
        assert told.last <= 1.08 * ideal(world).last


class InTrouble(SimulatedProvider):
    """Refuses one call in ten, of any caller."""

    async def complete(self, call: Call, *, deadline: float) -> Completion:
        if self._random.random() < 0.1:
            self.refused += 1
            await asyncio.sleep(self.world.refusing)
            raise UpstreamError(status=503, scope="capacity", retryable=True)
        return await super().complete(call, deadline=deadline)


@pytest.mark.parametrize(("slots", "hold"), [(64, 0.3), (16, 0.5), (64, 2.0)])
def test_refusals_by_chance_cost_no_answers(slots: int, hold: float) -> None:
    """A provider in trouble refuses some calls however few are sent: slower, but everybody is answered."""
    world = World(name="", slots=((slots, FOREVER),), hold=hold, callers=300)
    (told,) = classes(world, 1, provider=InTrouble)
    assert len(told.answered) == 300


class OneText(SimulatedProvider):
    """Refuses every tenth text for what it says."""

    async def complete(self, call: Call, *, deadline: float) -> Completion:
        if str(call.messages[-1]["content"]).split()[2].endswith("7"):
            raise UpstreamAuth("The AI provider does not allow this text.", status=403, scope="request")
        return await super().complete(call, deadline=deadline)


def test_one_persons_refused_text_affects_no_other() -> None:
    """Forty callers whose texts the provider forbids: the other 360 are answered."""
    world = World(name="", slots=((16, FOREVER),), hold=0.3)
    (told,) = classes(world, 1, provider=OneText)
    assert len(told.answered) == 360
    assert {heard.code for heard in told.failed} == {UpstreamAuth.code}


class Silent(SimulatedProvider):
    """Takes every call and says nothing."""

    async def complete(self, call: Call, *, deadline: float) -> Completion:
        await asyncio.sleep(3600)
        return await super().complete(call, deadline=deadline)


def test_a_silent_provider_costs_three_classes_their_time_and_the_fourth_none() -> None:
    """A class's time-outs are one sign; after three the next hears at once what is true: it does not answer."""
    world = World(name="", callers=100)
    *first, fourth = classes(world, 4, provider=Silent, pause=5.0)
    for told in first:
        assert {heard.words for heard in told.failed} <= {LATE, TIMED_OUT}
    assert sum(heard.words == TIMED_OUT and heard.seconds == 0.0 for heard in fourth.failed) >= 99


@pytest.mark.parametrize("voice", ["openai", "long", "bare"])
def test_a_provider_that_refuses_everything_is_named_as_it_is(voice: str) -> None:
    """Nobody hears of an error or an outage: its limit is reached."""
    world = World(name="", slots=((0, FOREVER),), callers=100, voice=voice)  # type: ignore[arg-type]
    for told in classes(world, 2):
        assert {heard.code for heard in told.failed} <= {"rate_limited", "timeout"}
        assert told.refused <= 80
