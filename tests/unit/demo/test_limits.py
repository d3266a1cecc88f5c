"""Promises of the demo provider's limits beyond a plain minute: bursts, refused calls that count, days and turns."""

import asyncio
import json
import math

import pytest

from sidecar.demo.admission import Admission
from sidecar.demo.call import RefusedError, parse_call
from sidecar.demo.capacity_turns import Turn, Turns, parsed
from sidecar.demo.limits import Rates
from sidecar.demo.options import Options
from tests.support.clocks import Clock


class Gate:
    """The limits, and calls that say which one refuses them."""

    def __init__(self, options: Options) -> None:
        self.clock = Clock()
        self.options = options
        self.admission = Admission(options, self.clock)

    def enter(self, header: str | None = None) -> str:
        """`in`, `waits`, or the outcome of the refusal."""
        body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}]}).encode()
        try:
            call = parse_call(body, "/", header, self.options)
            return "in" if self.admission.enter(call) else "waits"
        except RefusedError as exc:
            return exc.refusal.outcome

    def wait(self) -> float | None:
        """The wait that the next refusal names."""
        body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}]}).encode()
        with pytest.raises(RefusedError) as caught:
            self.admission.enter(parse_call(body, "/", None, self.options))
        return caught.value.refusal.wait


def test_a_burst_of_its_own_bounds_what_comes_at_once() -> None:
    """1500 a minute from a bucket of 60: sixty at once, then one every 40 ms, and the headers say so."""
    clock, options = Clock(), Options(rpm=1500, rpm_burst=60)
    rates = Rates(clock)
    assert [rates.take(options, 1) for _ in range(60)] == [None] * 60
    denial = rates.take(options, 1)
    assert denial is not None
    assert (denial.limit, denial.used, denial.wait, denial.back) == (1500, 1500, 0.04, 2.4)
    assert rates.headers(options) == {
        "x-ratelimit-limit-requests": "1500",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "2.4s",
    }
    clock.now += 0.04
    assert rates.take(options, 1) is None
    clock.now += 600
    assert [rates.take(options, 1) is None for _ in range(61)] == [True] * 60 + [False]


def test_a_call_over_the_burst_of_tokens_never_fits() -> None:
    """However large the minute is, the bucket is what a call has to fit in."""
    denial = Rates(Clock()).take(Options(tpm=6000, tpm_burst=100), 101)
    assert denial is not None
    assert (denial.which, denial.wait) == ("tokens", None)


def test_refused_calls_count_where_they_are_set_to() -> None:
    """A caller who asks again too soon pushes its own turn away; the wait that is named is the true one."""
    clock, options = Clock(), Options(rpm=6, count_refused=True)
    rates = Rates(clock)
    for _ in range(6):
        rates.take(options, 1)
    for _ in range(5):
        clock.now += 9
        denial = rates.take(options, 1)
        assert denial is not None
        assert denial.wait == 10
    clock.now += 10
    assert rates.take(options, 1) is None


@pytest.mark.parametrize(("counts", "then"), [(False, "in"), (True, "rpm")])
def test_a_call_without_a_slot_takes_from_the_bucket_only_if_refused_ones_count(counts: bool, then: str) -> None:
    """Slots and a bucket hold at once, and each says its own name."""
    gate = Gate(Options(rpm=3, slots=1, count_refused=counts))
    assert [gate.enter() for _ in range(3)] == ["in", "slots", "slots"]
    gate.admission.slots.release()
    assert gate.enter() == then


def test_a_day_counts_refused_calls_and_ends() -> None:
    """After so many calls, answered or refused, everything is refused until 24 hours after the first."""
    gate = Gate(Options(day=3, slots=1))
    assert [gate.enter() for _ in range(4)] == ["in", "slots", "slots", "day"]
    gate.admission.slots.release()
    gate.clock.now += 86_399
    assert gate.wait() == 1
    gate.clock.now += 1
    assert gate.enter() == "in"


def test_turns_are_read() -> None:
    """SLOTS:SECONDS by comma; a last one without seconds holds for ever; blank is none."""
    assert parsed("32:3,6:0.5") == (Turn(32, 3), Turn(6, 0.5))
    assert parsed("16:5, 2") == (Turn(16, 5), Turn(2, math.inf))
    assert parsed("") == ()


@pytest.mark.parametrize("text", ["x", "1:", ":3", "3,2:1", "3:0", "1:2;3:4", "-1:3", "1:nan", "1:1e9", ","])
def test_turns_that_make_no_sense_are_named(text: str) -> None:
    """What is no list of turns is an error, in words."""
    with pytest.raises(ValueError, match=r"SECONDS"):
        parsed(text)


def test_turns_follow_each_other_from_the_first_question() -> None:
    """They begin with the first call and go round; `start` begins anew."""
    clock = Clock()
    turns = Turns(clock)
    clock.now += 100
    found = []
    for _ in range(7):
        found.append(turns.now("32:3,6:2").slots)
        clock.now += 1
    assert found == [32, 32, 32, 6, 6, 32, 32]
    turns.start()
    clock.now += 2.5
    assert turns.now("32:3,6:2") == Turn(32, 0.5)


def test_a_last_turn_without_seconds_stays() -> None:
    """`16:5,2` is 16 for five seconds and 2 for good."""
    clock = Clock()
    turns = Turns(clock)
    assert turns.now("16:5,2") == Turn(16, 5)
    clock.now += 1_000_000
    assert turns.now("16:5,2") == Turn(2, math.inf)


def test_slots_come_and_go_next_to_a_bucket() -> None:
    """A turn of 0 slots refuses everything; when it is over, the bucket still holds what it held."""
    gate = Gate(Options(slots_by_turns="2:3,0:3", rpm=3))
    assert [gate.enter() for _ in range(3)] == ["in", "in", "slots"]
    gate.admission.slots.release()
    gate.admission.slots.release()
    gate.clock.now += 3
    assert gate.enter() == "slots"
    gate.admission.reset(gate.options)
    assert gate.enter() == "in"


def test_only_a_behave_that_names_the_turns_restarts_them() -> None:
    """Another option changed in mid-turn leaves the clock alone."""
    gate = Gate(Options(slots_by_turns="1:3,0"))
    assert gate.enter() == "in"
    gate.clock.now += 4
    gate.admission.change(gate.options, restart=False)
    assert gate.enter() == "slots"
    gate.admission.change(gate.options, restart=True)
    gate.admission.slots.release()
    assert gate.enter() == "in"


def test_one_request_may_come_with_turns_of_its_own() -> None:
    """Asked for by a request, the limit is that request's only."""
    gate = Gate(Options())
    assert [gate.enter("slots_by_turns=1"), gate.enter("slots_by_turns=1"), gate.enter()] == ["in", "slots", "in"]


async def test_the_next_turn_lets_the_line_in() -> None:
    """Callers that wait while there is no slot go on when the turn with slots comes, without another call."""
    options = Options(slots_by_turns="0:0.01,2", voice="queue")
    admission = Admission(options, asyncio.get_running_loop().time)
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}]}).encode()
    call = parse_call(body, "/", None, options)
    assert not admission.enter(call)
    async with asyncio.timeout(5):
        await asyncio.gather(admission.wait(call), admission.wait(call))
    assert (admission.slots.in_use, admission.slots.waiting) == (2, 0)
