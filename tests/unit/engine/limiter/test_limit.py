"""The limit that finds itself: grants and their ends in, room out. Its worlds are in test_worlds.py."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.errors import RateLimited, UpstreamError, UpstreamUnreachable
from sidecar.engine.limiter.grant import Grant
from sidecar.engine.limiter.limit import FORGOTTEN, STEADY, Limit
from sidecar.engine.limiter.probes import FIRST_INTERVAL, SMALLEST
from tests.support.clocks import Clock


class Provider:
    """Calls under way at a limit, on a clock that the test moves."""

    def __init__(self, ceiling: int = 64) -> None:
        self.clock = Clock()
        self.limit = Limit(ceiling=ceiling, clock=self.clock)
        self.calls: list[Grant] = []

    def send(self, calls: int = 1) -> None:
        for _ in range(calls):
            self.calls.append(self.limit.grant(len(self.calls)))

    def refuse(self, calls: int = 1, *, retry_after: float | None = None) -> None:
        """The calls sent last are refused."""
        for _ in range(calls):
            grant = self.calls.pop()
            failure = RateLimited(scope="capacity", retry_after=retry_after)
            self.limit.failed(grant, failure, running=len(self.calls))

    def answer(self, calls: int = 1) -> None:
        for _ in range(calls):
            grant = self.calls.pop(0)
            self.limit.succeeded(grant, running=len(self.calls))

    def burst_at_a_queue(self) -> None:
        """Forty calls at a server with one slot of 2 s: twelve are answered, the others end at 25 s."""
        self.send(40)
        for _ in range(12):
            self.clock.now += 2.0
            self.answer()
        self.clock.now += 1.0
        for _ in range(28):
            self.limit.timed_out(self.calls.pop())

    def room(self) -> float:
        """Seconds until the next call may be sent."""
        return self.limit.send_at(len(self.calls)) - self.clock.now

    def probe(self) -> None:
        """Wait until the limit lets one more call out, and send it."""
        self.clock.now += max(0.0, self.room())
        self.send()
        assert self.calls[-1].probe


def fallen(slots: int = 16) -> Provider:
    """A provider of which `slots` slots are known, all in use by calls of a second."""
    provider = Provider()
    provider.send(slots)
    provider.clock.now += 1.0
    provider.answer(slots)
    provider.send(64)
    provider.clock.now += 0.002
    provider.refuse(64 - slots)
    return provider


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
