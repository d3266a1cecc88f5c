"""Promises of the limit that finds itself: where it starts, how it falls, how probes raise it, and its bounds."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.errors import RateLimited, UpstreamError
from sidecar.engine.limiter.limit_state import STEADY
from sidecar.engine.limiter.probes import FIRST_INTERVAL, SMALLEST
from tests.support.limited_provider import Provider, fallen


def test_it_starts_at_the_ceiling_without_spacing() -> None:
    """A provider is trusted until it says otherwise."""
    provider = Provider()
    provider.send(63)
    assert (provider.limit.slots, provider.limit.gap, provider.room()) == (64, 0.0, -math.inf)
    provider.send()
    assert provider.room() == math.inf


def test_refusals_bring_it_down_to_what_still_runs() -> None:
    """Of 64 calls, 48 refused: the 16 that run are what the provider admits. All that is one fall."""
    provider = fallen(16)
    assert (provider.limit.found, provider.limit.generation, provider.limit.refusals.count) == (16, 1, 48)


def test_after_the_first_refusal_calls_follow_each_other_evenly() -> None:
    """Sixteen calls of a second: one every sixteenth of it, a tenth sooner, so that the limit is what binds."""
    provider = fallen(16)
    gap = provider.limit.gap
    assert gap == pytest.approx(0.9 / 16)
    provider.clock.now += 1.0
    provider.answer()
    assert provider.room() <= 0
    provider.send()
    provider.answer()
    assert provider.room() == pytest.approx(gap, rel=0.1)


def test_a_fall_without_an_admission_between_leaves_three_quarters() -> None:
    """Calls of ours may run by luck where there is less room than that."""
    provider = fallen(16)
    provider.answer()
    provider.clock.now += 0.1
    provider.send()
    provider.refuse()
    assert provider.limit.found == 12


def test_a_probe_that_is_not_refused_raises_it_by_one() -> None:
    """A refusal takes milliseconds: what was not refused by then is admitted, long before its answer."""
    provider = fallen(16)
    sent = provider.clock.now
    provider.probe()
    assert provider.clock.now - sent == pytest.approx(FIRST_INTERVAL)
    provider.clock.now += provider.limit.refusal_time.confirm
    provider.room()
    assert (provider.limit.found, provider.limit.why) == (17, "probes")


def test_each_probe_that_is_refused_doubles_the_wait_for_the_next() -> None:
    """And changes nothing else: how much room there is was known before."""
    provider, waits = fallen(16), []
    for _ in range(4):
        provider.probe()
        provider.refuse()
        waits.append(provider.room())
    assert waits == pytest.approx([0.2, 0.4, 0.5, 0.5], abs=0.06)
    assert (provider.limit.found, provider.limit.generation, provider.limit.pause) == (16, 1, 0.0)


def test_a_level_just_gained_is_taken_back_by_a_refusal() -> None:
    """That is a probe which failed late, and no fall."""
    provider = fallen(16)
    provider.probe()
    provider.clock.now += provider.limit.refusal_time.confirm
    provider.answer()
    provider.clock.now += max(0.0, provider.room())
    provider.send()
    provider.refuse()
    assert (provider.limit.found, provider.limit.generation) == (16, 1)


def test_it_is_a_fact_once_it_was_held_against_the_provider() -> None:
    """Three refused probes and a second and a half after the fall; until then estimates count on the ceiling."""
    provider = fallen(16)
    for _ in range(3):
        assert (provider.limit.fact, provider.limit.expected) == (False, 64)
        provider.probe()
        provider.refuse()
    provider.clock.now += STEADY
    assert (provider.limit.fact, provider.limit.expected) == (True, 16)


def test_a_higher_limit_of_late_still_counts_for_estimates() -> None:
    """Capacity that comes and goes: who may be served when it comes is not refused while it is away."""
    provider = fallen(16)
    for _ in range(3):
        provider.probe()
        provider.refuse()
    provider.clock.now += STEADY
    assert provider.limit.expected == 16
    provider.answer(8)
    provider.clock.now += 0.1
    provider.send()
    provider.refuse()
    assert provider.limit.found < 16
    assert provider.limit.expected >= 16


def test_a_refusal_while_nothing_runs_pauses_and_then_halves() -> None:
    """A tenth of a second, twice as long after each further one."""
    provider, pauses = Provider(), []
    for _ in range(4):
        provider.clock.now += max(0.0, provider.limit.pause)
        provider.send()
        provider.clock.now += 0.002
        provider.refuse()
        pauses.append(provider.limit.pause)
    assert pauses == pytest.approx([0.1, 0.2, 0.4, 0.8])
    assert provider.limit.found < 64


def test_a_probe_without_a_result_is_not_followed_by_a_flood() -> None:
    """Its caller left, or its text was at fault: the next one waits as long as after any other."""
    provider, probes = fallen(4), 0
    end = provider.clock.now + 10.0
    while provider.clock.now < end:
        if provider.room() <= 0:
            provider.send()
            probes += provider.calls[-1].probe
            provider.limit.failed(provider.calls.pop(), UpstreamError(status=400, scope="request"), running=4)
        provider.clock.now += 0.01
    assert probes <= 101


STEPS = st.tuples(st.sampled_from(["send", "answer", "refuse", "late", "leave", "error", "wait"]), st.floats(0.0, 1.0))


def end(provider: Provider, how: str, chance: float) -> None:
    """One of the calls under way ends."""
    limit, grant = provider.limit, provider.calls.pop(int(chance * (len(provider.calls) - 1)))
    running = len(provider.calls)
    match how:
        case "answer":
            limit.succeeded(grant, running=running)
        case "refuse":
            limit.failed(grant, RateLimited(scope="capacity", retry_after=chance * 9), running=running)
        case "error":
            limit.failed(grant, UpstreamError(status=500), running=running)
        case "late":
            limit.timed_out(grant)
        case _:
            limit.ended(grant)


@given(st.integers(1, 64), st.lists(STEPS, max_size=150))
def test_it_stays_in_its_bounds_whatever_happens(ceiling: int, steps: list[tuple[str, float]]) -> None:
    """Any order of grants and ends: never more than the ceiling, never stuck."""
    provider = Provider(ceiling)
    for step, chance in steps:
        match step:
            case "send":
                if provider.room() <= 0:
                    provider.send()
            case "wait":
                provider.clock.now += 30 * chance**3
            case _ if provider.calls:
                end(provider, step, chance)
            case _:
                pass
        assert SMALLEST <= provider.limit.found <= ceiling
        assert len(provider.calls) <= ceiling
        assert provider.calls or provider.room() < 600
