"""The limit that finds itself, the pause, the breaker and the retry budget: outcomes in, slots out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.engine.limit import COOLEST, DOWN, FORGOTTEN, LONGEST_PAUSE, Limit, backoff
from sidecar.words.errors import (
    EmptyResponse,
    RateLimited,
    UpstreamAuth,
    UpstreamError,
    UpstreamFailure,
    UpstreamUnreachable,
)


class Clock:
    """Time that the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def limit_of(ceiling: int = 64) -> tuple[Limit, Clock]:
    clock = Clock()
    return Limit(ceiling=ceiling, clock=clock), clock


CONCURRENCY = RateLimited(retryable=True, scope="call")


def simulate(limit: Limit, takes: int, calls: int) -> int:
    """Work off `calls` at a provider that refuses beyond `takes` at once; how many were refused."""
    refused, done, active = 0, 0, [limit.generation] * 0
    while done < calls:
        while len(active) < limit.slots:
            active.append(limit.generation)
        running = len(active)
        for generation in active[takes:]:
            running -= 1
            refused += 1
            limit.failed(CONCURRENCY, generation, running=running)
        active = active[:takes]
        for generation in active:
            limit.succeeded(0.3, generation, saturated=len(active) >= limit.found)
            done += 1
        active = []
    return refused


def test_it_starts_at_the_ceiling() -> None:
    """A provider is trusted until it says otherwise."""
    limit, _ = limit_of(64)
    assert limit.slots == 64


def test_refusals_bring_it_down_to_what_still_runs() -> None:
    """Of 64 calls, 48 refused: the 16 that run are what the provider admits."""
    limit, _ = limit_of(64)
    for running in range(63, 15, -1):
        limit.failed(CONCURRENCY, 0, running=running)
    assert limit.slots == 16


def test_a_lone_refusal_halves_it_at_most() -> None:
    """One word from the provider while little runs does not bring the limit to the ground."""
    limit, _ = limit_of(64)
    limit.failed(CONCURRENCY, limit.generation, running=1)
    assert limit.slots == 32


def test_it_probes_upward_after_clean_rounds() -> None:
    """Room that was refused once is tried again, one call more at a time."""
    limit, _ = limit_of(64)
    for running in range(63, 3, -1):
        limit.failed(CONCURRENCY, 0, running=running)
    assert limit.slots == 4
    for _ in range(4 * 2):
        limit.succeeded(0.1, limit.generation, saturated=True)
    assert limit.slots == 5


def test_successes_without_demand_prove_nothing() -> None:
    """While slots are idle, an answered call does not show that the provider would take more."""
    limit, _ = limit_of(64)
    limit.failed(CONCURRENCY, 0, running=16)
    found = limit.slots
    for _ in range(1000):
        limit.succeeded(0.1, limit.generation, saturated=False)
    assert limit.slots == found


@pytest.mark.parametrize("takes", [1, 4, 16, 40])
def test_few_calls_are_refused_on_the_way(takes: int) -> None:
    """Finding a provider's slots costs about one refusal a surplus call, and probing few more."""
    limit, _ = limit_of(64)
    refused = simulate(limit, takes, 600)
    assert refused <= 100
    assert takes <= limit.slots <= takes + 1


@given(st.lists(st.tuples(st.sampled_from(["ok", "refused", "late", "minute"]), st.integers(0, 64)), max_size=200))
def test_it_stays_between_one_and_the_ceiling(outcomes: list[tuple[str, int]]) -> None:
    """Whatever the provider does, at least one call and at most the ceiling is let through."""
    limit, clock = limit_of(64)
    for kind, number in outcomes:
        generation = max(0, limit.generation - number % 3)
        match kind:
            case "ok":
                limit.succeeded(0.1, generation, saturated=bool(number % 2))
            case "refused":
                limit.failed(CONCURRENCY, generation, running=number)
            case "late":
                limit.timed_out(number, generation, UpstreamError())
            case _:
                limit.failed(RateLimited(scope="minute", retry_after=1.0), generation, running=number)
        clock.now += limit.pause
        assert 1 <= limit.slots <= 64
        assert 1 <= limit.found <= 64


def test_a_minute_limit_pauses_everything() -> None:
    """A refusal that names requests or tokens a minute holds the whole gate until the time it names."""
    limit, clock = limit_of(64)
    limit.failed(RateLimited(scope="minute", retry_after=7.0), 0, running=63)
    assert (limit.slots, limit.pause) == (0, 7.0)
    clock.now += 7.0
    assert limit.slots > 0


def test_calls_that_end_too_late_shrink_it_once_a_round() -> None:
    """A local model server queues instead of refusing: too many at once show as calls that time out."""
    limit, _ = limit_of(64)
    for _ in range(64):
        limit.timed_out(25.0, 0, UpstreamError())
    assert limit.found == 48


def test_a_call_that_hangs_now_and_then_shrinks_nothing() -> None:
    """One in fifty is the provider's hiccup; slowing everybody down would not help."""
    limit, _ = limit_of(64)
    for _ in range(20):
        for _ in range(49):
            limit.succeeded(1.0, 0, saturated=True)
        limit.timed_out(25.0, 0, UpstreamError())
    assert limit.found == 64


def test_a_call_that_was_granted_late_says_nothing() -> None:
    """Half a second before its deadline a call had no fair chance: that is the queue's doing, not the provider's."""
    limit, _ = limit_of(64)
    limit.timed_out(0.5, 0, UpstreamError())
    assert limit.found == 64


@pytest.mark.parametrize(
    "failure",
    [
        UpstreamAuth(status=401),
        RateLimited(status=429, scope="account"),
        UpstreamUnreachable(),
        UpstreamError(status=500),
    ],
    ids=lambda failure: failure.code,
)
def test_a_provider_that_is_plainly_down_opens_the_breaker(failure: UpstreamFailure) -> None:
    """After some failures in a row newcomers hear the same words at once, without a call."""
    limit, _ = limit_of()
    for _ in range(DOWN[type(failure)] - 1):
        limit.failed(failure, limit.generation, running=0)
    assert limit.refusal(idle=True) is None
    limit.failed(failure, limit.generation, running=0)
    refusal = limit.refusal(idle=True)
    assert refusal is not None
    assert refusal.code == failure.code


def test_a_refused_request_says_nothing_about_the_provider() -> None:
    """A text the provider will not take (400) is no sign that it is down."""
    limit, _ = limit_of()
    for _ in range(100):
        limit.failed(UpstreamError(status=400), 0, running=0)
    assert limit.breaker == "closed"


def test_a_text_over_the_limit_by_itself_shrinks_nothing() -> None:
    """One user's long texts, which no provider will ever take, must not leave a class with one call at a time."""
    limit, _ = limit_of()
    for _ in range(10):
        limit.failed(RateLimited(status=429), limit.generation, running=0)
    assert (limit.found, limit.breaker, limit.pause) == (64, "closed", 0.0)


def test_failures_of_different_kinds_are_no_sign_of_a_provider_that_is_down() -> None:
    """A provider with several troubles at once is troubled, not down: each kind is counted by itself."""
    limit, _ = limit_of()
    for _ in range(4):
        for failure in (UpstreamUnreachable(), UpstreamError(status=500), UpstreamError(status=502)):
            limit.failed(failure, 0, running=0)
    assert limit.breaker == "closed"


@pytest.mark.parametrize("sign", [UpstreamError(status=400), EmptyResponse(status=200)], ids=lambda sign: sign.code)
def test_a_refusal_of_one_request_is_a_sign_of_life(sign: UpstreamFailure) -> None:
    """Who reads a request and turns it down is not down."""
    limit, clock = limit_of()
    for _ in range(5):
        limit.failed(UpstreamUnreachable(), 0, running=0)
    clock.now += 1.0
    limit.failed(sign, 0, running=0)
    assert limit.breaker == "closed"


def test_a_probe_that_fails_in_another_way_closes_the_breaker() -> None:
    """It was unreachable and now answers 500: that is another trouble, counted anew."""
    limit, clock = limit_of()
    for _ in range(5):
        limit.failed(UpstreamUnreachable(), 0, running=0)
    clock.now += 1.0
    limit.failed(UpstreamError(status=500), limit.generation, running=0)
    assert limit.breaker == "closed"


def test_what_refusals_taught_is_forgotten() -> None:
    """Last night's trouble does not turn this morning's class away; a provider that is as small still says so."""
    limit, clock = limit_of(64)
    simulate(limit, takes=3, calls=200)
    assert limit.found <= 4
    clock.now += FORGOTTEN + 1
    assert (limit.found, limit.slots) == (64, 64)
    assert simulate(limit, takes=16, calls=600) <= 100
    assert limit.found <= 17


def test_what_deadlines_taught_is_kept() -> None:
    """A server that queues behind its door says so with answers that come too late, and those were somebody's."""
    limit, clock = limit_of(64)
    for _ in range(2):
        limit.timed_out(30.0, limit.generation, UpstreamError())
    limit.failed(CONCURRENCY, limit.generation, running=40)
    assert limit.found == 40
    clock.now += FORGOTTEN + 1
    assert limit.found == 40


def test_one_probe_at_a_time_closes_the_breaker() -> None:
    """After a while one request is let in; its success lets everybody in, its failure doubles the while."""
    limit, clock = limit_of()
    for _ in range(5):
        limit.failed(UpstreamUnreachable(), 0, running=0)
    clock.now += 1.0
    assert limit.refusal(idle=False) is not None
    assert limit.refusal(idle=True) is None
    assert limit.slots == 1
    limit.failed(UpstreamUnreachable(), limit.generation, running=0)
    clock.now += 1.0
    assert limit.refusal(idle=True) is not None
    clock.now += 1.0
    assert limit.refusal(idle=True) is None
    limit.succeeded(0.1, 0, saturated=False)
    assert limit.breaker == "closed"
    assert limit.refusal(idle=False) is None


def test_calls_that_were_under_way_when_it_opened_put_no_probe_off() -> None:
    """Sixty calls fail together: that is one outage, and the first probe comes after a second as ever."""
    limit, clock = limit_of()
    for _ in range(60):
        limit.failed(UpstreamUnreachable(), 0, running=0)
    clock.now += 1.0
    limit.failed(UpstreamUnreachable(), 0, running=0)  # one that took its time to fail
    limit.failed(UpstreamError(status=500), 0, running=0)
    assert limit.breaker == "open"
    assert limit.refusal(idle=True) is None


def test_probes_never_get_rarer_than_the_limit_says() -> None:
    """A provider that comes back after an hour is found within seconds."""
    limit, clock = limit_of()
    for _ in range(5):
        limit.failed(UpstreamUnreachable(), 0, running=0)
    for _ in range(50):
        clock.now += COOLEST
        assert limit.refusal(idle=True) is None
        limit.failed(UpstreamUnreachable(), limit.generation, running=0)
    clock.now += COOLEST
    assert limit.refusal(idle=True) is None


def test_the_retry_budget_is_spent_and_earned() -> None:
    """Retries are a share of the successes, so that they never become the load."""
    limit, _ = limit_of(16)
    assert sum(limit.may_retry() for _ in range(1000)) == 32
    limit.succeeded(0.1, 0, saturated=False)
    assert not limit.may_retry()
    limit.succeeded(0.1, 0, saturated=False)
    assert limit.may_retry()


def test_backoff_doubles_with_chance() -> None:
    """Pauses grow, are bounded, and never fall together."""
    assert [backoff(n, 1.0) for n in range(7)] == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    assert backoff(0, 0.0) == 0.1


def test_a_minute_limit_shrinks_nothing_and_opens_step_by_step() -> None:
    """Requests a minute say nothing about calls at once; after the pause one call finds out, then twice as many."""
    limit, clock = limit_of(64)
    for _ in range(20):
        limit.failed(RateLimited(scope="minute", retry_after=2.0), 0, running=3)
    assert limit.found == 64
    clock.now += 2.0
    slots = []
    for _ in range(7):
        slots.append(limit.slots)
        limit.succeeded(0.1, 0, saturated=True)
    assert slots == [1, 2, 4, 8, 16, 32, 64]


@pytest.mark.parametrize("asked", [86_400.0, 1e12])
def test_no_header_shuts_the_gate_for_long(asked: float) -> None:
    """A wrong clock or an odd Retry-After costs a minute, not a day."""
    limit, _ = limit_of(64)
    limit.failed(RateLimited(scope="minute", retry_after=asked), 0, running=3)
    assert limit.pause == LONGEST_PAUSE


def test_what_was_found_a_while_ago_is_outgrown_quickly() -> None:
    """Lone refusals brought it to one; two minutes later a burst finds the provider's room within a few rounds."""
    limit, clock = limit_of(64)
    for _ in range(8):
        limit.failed(CONCURRENCY, limit.generation, running=0)
    assert limit.found == 1
    clock.now += 120
    rounds = 0
    while limit.found < 64:
        rounds += 1
        for _ in range(limit.found):
            limit.succeeded(3.0, limit.generation, saturated=True)
    assert rounds == 6


def test_a_provider_that_refuses_for_the_moment_is_up() -> None:
    """A 429 is an answer: after an outage it closes the breaker."""
    limit, clock = limit_of(64)
    for _ in range(20):
        limit.failed(UpstreamError(status=500), 0, running=0)
    assert limit.breaker == "open"
    clock.now += 1.0
    limit.failed(RateLimited(scope="minute", retry_after=1.0), 0, running=0)
    assert limit.breaker == "closed"


def test_short_deadlines_of_some_are_not_the_providers_fault() -> None:
    """Callers who give a second each do not make a provider of two seconds look silent."""
    limit, _ = limit_of(64)
    for _ in range(100):
        limit.timed_out(1.0, 0, UpstreamError())
    assert (limit.breaker, limit.found) == ("closed", 64)


def test_what_a_provider_said_to_one_is_not_told_to_others() -> None:
    """The breaker's sentence is ours: the provider's words may be about somebody's text."""
    limit, _ = limit_of(64)
    for _ in range(20):
        limit.failed(UpstreamError("The AI provider said: something about Bob.", status=500), 0, running=0)
    assert "Bob" not in str(limit.refusal(idle=False))
