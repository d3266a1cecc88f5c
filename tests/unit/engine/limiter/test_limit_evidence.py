"""Promises of what the limit takes for evidence: refusals, deadlines, silence, outages, and how long each counts."""

import math

import pytest

from sidecar.core.errors import RateLimited, UpstreamError, UpstreamUnreachable
from sidecar.engine.limiter.limit import FORGOTTEN
from tests.support.limited_provider import Provider, fallen


def test_a_named_wait_counts_for_nothing_while_calls_run() -> None:
    """An answer is coming, and is the better clock: Retry-After 20 in a class of 400 costs no caller a second."""
    provider = Provider()
    provider.send(64)
    provider.clock.now += 0.002
    provider.refuse(48, retry_after=20.0)
    assert provider.limit.pause == 0.0


def test_what_refusals_taught_is_forgotten() -> None:
    """Last night's trouble does not turn this morning's class away."""
    provider = fallen(3)
    provider.answer(3)
    provider.clock.now += FORGOTTEN + 1
    assert provider.room() < 0
    assert (provider.limit.found, provider.limit.gap, provider.limit.why) == (64, 0.0, "quiet")


def test_what_deadlines_taught_is_remembered() -> None:
    """A server that queues behind its door says so with answers that come too late, and those were somebody's."""
    provider = Provider()
    provider.send(12)
    for _ in range(6):
        provider.clock.now += 2.0
        provider.answer()
    provider.clock.now += 13.0
    for _ in range(6):
        provider.limit.timed_out(provider.calls.pop())
    assert provider.limit.why == "deadlines"
    found = provider.limit.found
    assert found < 12
    provider.clock.now += FORGOTTEN + 1
    provider.room()
    assert provider.limit.found == found


@pytest.mark.parametrize("failure", [RateLimited(scope="request"), UpstreamError(status=400, scope="request")])
def test_what_one_text_is_to_blame_for_shrinks_nothing(failure: RateLimited | UpstreamError) -> None:
    """One user's long texts, which no provider will ever take, must not leave a class with one call at a time."""
    provider = Provider()
    for _ in range(100):
        provider.send()
        provider.limit.failed(provider.calls.pop(), failure, running=0)
    assert (provider.limit.found, provider.limit.breaker.state, provider.limit.pause) == (64, "closed", 0.0)


def test_a_provider_that_is_down_gets_one_call_at_a_time() -> None:
    """The call that is let in finds out whether it still is; a second one waits for that."""
    provider = Provider()
    for _ in range(5):
        provider.send()
        provider.limit.failed(provider.calls.pop(), UpstreamUnreachable(), running=0)
    provider.clock.now += 1.0
    assert provider.room() == -math.inf
    provider.send()
    for _ in range(20):
        assert provider.room() == math.inf
        provider.clock.now += 1.0
    provider.answer()
    assert provider.room() < math.inf


def test_how_long_it_refuses_everything_is_known() -> None:
    """From the first refusal that nothing admitted has followed; a night without calls before counts for nothing."""
    provider = fallen(16)
    provider.answer(16)
    assert provider.limit.refusing_for == 0.0
    provider.clock.now += 200.0
    for _ in range(3):
        provider.send()
        provider.refuse()
        provider.clock.now += 5.0
    assert provider.limit.refusing_for == pytest.approx(15.0)
    provider.send()
    provider.answer()
    assert provider.limit.refusing_for == 0.0


def test_a_refusal_shows_that_it_is_up() -> None:
    """A 429 is an answer: after an outage it closes the breaker."""
    provider = Provider()
    for _ in range(5):
        provider.send()
        provider.limit.failed(provider.calls.pop(), UpstreamUnreachable(), running=0)
    provider.clock.now += 1.0
    provider.send()
    provider.refuse()
    assert provider.limit.breaker.state == "closed"


def test_a_refusal_that_was_held_back_for_long_is_no_new_evidence() -> None:
    """One call of the burst that fell already is refused seconds later, while nothing runs: that was known."""
    provider = fallen(33)
    odd = provider.calls.pop()
    provider.clock.now += 1.0
    provider.answer(32)
    provider.clock.now += 13.0
    found = provider.limit.found
    odd.generation = 0
    provider.limit.failed(odd, RateLimited(scope="capacity"), running=0)
    assert provider.limit.found == found


def test_a_pause_of_an_hour_outlasts_what_refusals_taught() -> None:
    """A wait that counts down truly is kept to its end: nothing is forgotten while it lasts."""
    provider = Provider()
    for named in (3600.0, 3598.0):
        provider.send()
        provider.refuse(retry_after=named)
        provider.clock.now += 2.0
    assert provider.limit.pause > 3500
    provider.clock.now += FORGOTTEN + 60
    assert provider.room() > 3000


def test_a_queue_is_noticed_after_a_day_of_answers() -> None:
    """Thousands of quick answers before do not hide the burst that a local server works off one by one."""
    provider = Provider()
    for _ in range(3000):
        provider.send()
        provider.clock.now += 2.0
        provider.answer()
    provider.burst_at_a_queue()
    assert (provider.limit.slots, provider.limit.why) == (1, "deadlines")
    assert provider.limit.holding == pytest.approx(2.0, rel=0.1)


def test_silent_streams_count_as_silence() -> None:
    """A stream that lasts 40 s has its first event after one: 25 s without one are no fair stream's."""
    provider = Provider()
    for _ in range(20):
        provider.send()
        provider.clock.now += 40.0
        provider.limit.succeeded(provider.calls.pop(), running=0, first=1.0)
    for _ in range(3):
        provider.send()
        provider.clock.now += 25.0
        provider.limit.timed_out(provider.calls.pop())
    assert provider.limit.breaker.state == "open"


def test_a_process_that_stood_still_blames_nobody() -> None:
    """After a standstill of 30 s all calls are over their deadlines: that was this process, not the provider."""
    provider = Provider()
    provider.send(64)
    provider.clock.now += 2.0
    provider.answer(20)
    provider.clock.now += 30.0
    for _ in range(44):
        provider.limit.timed_out(provider.calls.pop(), overdue=7.0)
    assert (provider.limit.found, provider.limit.breaker.state) == (64, "closed")


def test_a_refusal_ends_a_try_of_more_at_a_queue() -> None:
    """A server that queues and then refuses: what it refused down to is what estimates count on."""
    provider = Provider()
    provider.burst_at_a_queue()
    for _ in range(40):
        provider.send(provider.limit.slots)
        provider.clock.now += 2.0
        provider.answer(provider.limit.slots)
    provider.send(provider.limit.slots)
    provider.clock.now += 0.01
    provider.refuse(max(1, len(provider.calls) - 1))
    assert provider.limit.expected <= max(1.0, provider.limit.found)
