"""The breaker: who is plainly down is left alone, in its own words; who merely refuses, or one text, is not."""

import pytest

from sidecar.core.errors import (
    EmptyResponse,
    RateLimited,
    UpstreamAuth,
    UpstreamError,
    UpstreamFailure,
    UpstreamUnreachable,
)
from sidecar.engine.limiter.breaker import (
    FAILURES_TO_OPEN,
    LONGEST_COOLDOWN,
    LONGEST_QUOTA_COOLDOWN,
    TIMED_OUT,
    TIMEOUTS_TO_OPEN,
    Breaker,
)
from tests.support.clocks import Clock

DOWNS = [
    UpstreamAuth(status=401),
    RateLimited(status=429, scope="account"),
    UpstreamUnreachable(),
    UpstreamError(status=500),
]


def breaker_of() -> tuple[Breaker, Clock]:
    clock = Clock()
    return Breaker(clock), clock


def fail(breaker: Breaker, clock: Clock, failure: UpstreamFailure, times: int = 1) -> None:
    for _ in range(times):
        breaker.failed(failure, clock.now)


@pytest.mark.parametrize("failure", DOWNS, ids=lambda failure: failure.code)
def test_a_provider_that_is_plainly_down_opens_it(failure: UpstreamFailure) -> None:
    """After some failures in a row newcomers hear the same at once, without a call."""
    breaker, clock = breaker_of()
    fail(breaker, clock, failure, FAILURES_TO_OPEN[type(failure)] - 1)
    assert (breaker.state, breaker.refusal(idle=True)) == ("closed", None)
    fail(breaker, clock, failure)
    assert breaker.state == "open"
    assert (refusal := breaker.refusal(idle=True)) is not None
    assert (refusal.code, str(refusal)) == (failure.code, str(failure))


@pytest.mark.parametrize(
    "failure",
    [
        UpstreamError(status=400, scope="request"),
        UpstreamAuth(status=403, scope="request"),
        RateLimited(status=429, scope="request"),
        RateLimited(status=429, scope="capacity"),
        UpstreamError(status=503, scope="capacity"),
        EmptyResponse(status=200),
    ],
    ids=lambda failure: f"{failure.code} {failure.scope}",
)
def test_what_one_text_or_want_of_room_is_to_blame_for_is_a_sign_of_life(failure: UpstreamFailure) -> None:
    """A hundred of them open nothing, and one of them ends a row of others."""
    breaker, clock = breaker_of()
    fail(breaker, clock, failure, 100)
    assert breaker.state == "closed"
    fail(breaker, clock, UpstreamUnreachable(), FAILURES_TO_OPEN[UpstreamUnreachable] - 1)
    fail(breaker, clock, failure)
    fail(breaker, clock, UpstreamUnreachable())
    assert breaker.state == "closed"


def test_failures_of_different_kinds_open_nothing() -> None:
    """A provider with several troubles at once is troubled, not down: each kind is counted by itself."""
    breaker, clock = breaker_of()
    for _ in range(FAILURES_TO_OPEN[UpstreamUnreachable] - 1):
        fail(breaker, clock, UpstreamUnreachable())
        fail(breaker, clock, UpstreamError(status=500), 2)
    assert breaker.state == "closed"


def test_a_bursts_time_outs_are_one_sign() -> None:
    """Fifty calls end at one deadline, and ten more that were under way with them: one silent spell, not down."""
    breaker, clock = breaker_of()
    sent = clock.now
    clock.now += 25.0
    for _ in range(50):
        breaker.timed_out(sent)
    clock.now += 1.0
    for _ in range(10):
        breaker.timed_out(sent + 1.0)
    assert breaker.state == "closed"


def test_three_silent_spells_in_a_row_open_it_in_words_that_are_true() -> None:
    """Nobody hears that the provider answered with an error: it did not."""
    breaker, clock = breaker_of()
    for _ in range(TIMEOUTS_TO_OPEN):
        sent = clock.now
        clock.now += 25.0
        breaker.timed_out(sent)
    assert str(breaker.refusal(idle=False)) == TIMED_OUT
    assert breaker.close()
    assert breaker.refusal(idle=False) is None


def test_an_answer_between_ends_the_row_of_silent_spells() -> None:
    """A provider that answers some is not silent."""
    breaker, clock = breaker_of()
    for _ in range(TIMEOUTS_TO_OPEN):
        sent = clock.now
        clock.now += 25.0
        breaker.timed_out(sent)
        breaker.close()
    assert breaker.state == "closed"


def test_one_probe_at_a_time_closes_it() -> None:
    """After a second one request is let in; its success lets everybody in, its failure doubles the second."""
    breaker, clock = breaker_of()
    fail(breaker, clock, UpstreamUnreachable(), FAILURES_TO_OPEN[UpstreamUnreachable])
    clock.now += 1.0
    assert breaker.refusal(idle=False) is not None
    assert breaker.refusal(idle=True) is None
    fail(breaker, clock, UpstreamUnreachable())
    clock.now += 1.0
    assert breaker.refusal(idle=True) is not None
    clock.now += 1.0
    assert breaker.refusal(idle=True) is None
    assert breaker.close()
    assert breaker.refusal(idle=False) is None


def test_calls_that_were_under_way_when_it_opened_put_no_probe_off() -> None:
    """Sixty calls fail together: that is one outage, and the first probe comes after a second as ever."""
    breaker, clock = breaker_of()
    sent = clock.now
    clock.now += 0.5
    for _ in range(60):
        breaker.failed(UpstreamUnreachable(), sent)
    clock.now += 1.0
    breaker.failed(UpstreamUnreachable(), sent)
    breaker.failed(UpstreamError(status=500), sent)
    assert breaker.state == "open"
    assert breaker.refusal(idle=True) is None


def test_a_probe_that_fails_in_another_way_closes_it() -> None:
    """It was unreachable and now answers 500: that is another trouble, counted anew."""
    breaker, clock = breaker_of()
    fail(breaker, clock, UpstreamUnreachable(), FAILURES_TO_OPEN[UpstreamUnreachable])
    clock.now += 1.0
    fail(breaker, clock, UpstreamError(status=500))
    assert breaker.state == "closed"


def test_probes_never_get_rarer_than_the_limit_says() -> None:
    """A provider that comes back after an hour is found within seconds."""
    breaker, clock = breaker_of()
    fail(breaker, clock, UpstreamUnreachable(), FAILURES_TO_OPEN[UpstreamUnreachable])
    for _ in range(50):
        clock.now += LONGEST_COOLDOWN
        assert breaker.refusal(idle=True) is None
        fail(breaker, clock, UpstreamUnreachable())
    clock.now += LONGEST_COOLDOWN
    assert breaker.refusal(idle=True) is None


def test_an_account_that_is_used_up_until_a_named_end_is_believed_at_once() -> None:
    """Its own word is enough, for an hour at most."""
    breaker, clock = breaker_of()
    fail(breaker, clock, RateLimited(status=429, scope="account", retry_after=86_400.0))
    assert breaker.state == "open"
    clock.now += LONGEST_QUOTA_COOLDOWN - 1
    assert breaker.refusal(idle=True) is not None
    clock.now += 1
    assert breaker.refusal(idle=True) is None


def test_what_a_provider_said_to_one_is_not_shown_to_others() -> None:
    """Its words may be about somebody's text, unless two calls were told the same."""
    breaker, clock = breaker_of()
    for number in range(FAILURES_TO_OPEN[UpstreamError]):
        fail(breaker, clock, UpstreamError(f"The AI provider said: something about Bob {number}.", status=500))
    assert "Bob" not in str(breaker.refusal(idle=False))


def test_what_concerns_everybody_is_shown_to_everybody() -> None:
    """What opened it keeps its words: "maintenance until six" is worth more than a sentence of ours."""
    breaker, clock = breaker_of()
    said = UpstreamError("The AI provider said: maintenance until six.", status=500)
    fail(breaker, clock, said, FAILURES_TO_OPEN[UpstreamError])
    assert "maintenance until six" in str(breaker.refusal(idle=False))
