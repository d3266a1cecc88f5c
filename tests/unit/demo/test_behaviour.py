"""Promises of how the demo upstream is told to behave, and of the limits it holds."""

import asyncio
from email.utils import parsedate_to_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.demo import errors
from sidecar.demo import options as behaviour
from sidecar.demo.limits import Rates, span
from sidecar.demo.options import BadOptionError, Options, changed
from sidecar.demo.outcome import Dice
from sidecar.demo.slots import UNLIMITED, Slots


class Clock:
    """A clock that the test moves, in seconds."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_options_come_from_a_header_as_text() -> None:
    """`latency=0.3;status=429` means the number and the status."""
    options = changed(Options(), behaviour.from_header(" latency=0.3; status=429;queue=true;"))
    assert (options.latency, options.status, options.queue) == (0.3, 429, True)


def test_options_come_from_inside_a_text() -> None:
    """A directive is taken out of the text and obeyed; several add up."""
    text, changes = behaviour.from_text("Sum this up [demo latency=2 fail=0.5] please [demo slots=3]")
    assert text == "Sum this up  please"
    options = changed(Options(), changes)
    assert (options.latency, options.fail, options.slots) == (2, 0.5, 3)


@pytest.mark.parametrize("text", ["see the [demo version]", "[demo]", "[demo of latency = 3]", "demo latency=2"])
def test_ordinary_brackets_are_no_directive(text: str) -> None:
    """A text that merely speaks of a demo is left as it is."""
    assert behaviour.from_text(text) == (text, {})


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"nope": 1}, "'nope'"),
        ({"latency": "soon"}, "latency"),
        ({"latency": -1}, "latency"),
        ({"latency": "nan"}, "latency"),
        ({"latency": "inf"}, "latency"),
        ({"fail": 1.5}, "fail"),
        ({"status": 200}, "status"),
        ({"slots": 1.5}, "slots"),
        ({"queue": "perhaps"}, "queue"),
        ({"cut": "middle"}, "before"),
        ({"garbage": "x"}, "surrogate"),
        ({"retry_after": "tomorrow"}, "retry_after"),
        ({"retry_after": -1}, "retry_after"),
        ({"voice": "loud"}, "voice"),
        ({"voice": 502}, "voice"),
        ({"slots_by_turns": "many"}, "slots_by_turns"),
        ({"slots_by_turns": "32,6:3"}, "slots_by_turns"),
        ({"slots_by_turns": "32:0"}, "slots_by_turns"),
        ({"slots_by_turns": "32:3,"}, "slots_by_turns"),
        ({"rpm_burst": -1}, "rpm_burst"),
        ({"distance": "far"}, "distance"),
    ],
)
def test_a_wrong_option_is_named(changes: dict[str, object], named: str) -> None:
    """What does not exist or does not fit ends in one line that names it."""
    with pytest.raises(BadOptionError, match=named) as caught:
        changed(Options(), changes)
    assert "\n" not in str(caught.value)


def test_a_header_part_without_a_value_is_refused() -> None:
    """A bare word is an error, not a silent nothing."""
    with pytest.raises(BadOptionError, match="name=value"):
        behaviour.from_header("latency=1;stall")


def test_null_takes_an_option_back() -> None:
    """JSON's null, or the word, puts an optional option back to nothing."""
    told = Options(status=503, garbage="html", retry_after=2)
    for nothing in (None, "null"):
        options = changed(told, {"status": nothing, "garbage": nothing})
        assert (options.status, options.garbage) == (None, None)


def test_a_key_that_looks_like_a_number_stays_text() -> None:
    """`api_key=1234` is the key "1234"."""
    assert changed(Options(), {"api_key": "1234"}).api_key == "1234"


def test_the_same_seed_gives_the_same_fates() -> None:
    """Rehearsals repeat: the same seed and order of calls meet the same troubles, about as often as told."""
    options = Options(seed=7, latency=1, jitter=0.5, fail=0.25, status=503, stall=0.1)
    one, two = Dice(7), Dice(7)
    fates = [one.fate(options) for _ in range(1000)]
    assert fates == [two.fate(options) for _ in range(1000)]
    assert all(0.5 <= fate.delay <= 1.5 for fate in fates)
    assert 60 <= sum(fate.stall for fate in fates) <= 140
    assert 170 <= sum(fate.status == 503 for fate in fates) <= 280


def test_shares_apply_to_cuts_and_garbage() -> None:
    """A share below one spares some calls; of one, none."""
    dice = Dice(1)
    options = Options(seed=1, cut="body", cut_share=0.5, garbage="nocontent", garbage_share=0.5)
    some = [dice.fate(options) for _ in range(200)]
    assert {(fate.cut, fate.garbage) for fate in some} == {
        (cut, garbage) for cut in ("body", None) for garbage in ("nocontent", None)
    }
    assert all(dice.fate(Options(cut="before")).cut == "before" for _ in range(20))


def test_a_status_alone_fails_every_call_and_fail_first_only_the_first() -> None:
    """`status` means always, `fail` a share, `fail_first` so many and no more."""
    dice = Dice(0)
    assert [dice.fate(Options(status=429)).status for _ in range(3)] == [429, 429, 429]
    assert [dice.fate(Options(fail=1)).status for _ in range(2)] == [500, 500]
    first = Options(fail_first=2, status=503)
    assert [dice.fate(first).status for _ in range(4)] == [503, 503, None, None]


def test_fail_first_of_a_request_counts_by_its_text() -> None:
    """Asked for by a request, the first tries of that very text fail, however many others come between."""
    dice, options = Dice(0), Options(fail_first=1)
    found = [(text, dice.fate(options, text=text).status) for text in ("a", "b", "a", "b")]
    assert found == [("a", 500), ("b", 500), ("a", None), ("b", None)]


def test_requests_a_minute_flow_back_evenly() -> None:
    """Beyond the limit a call is told how long to wait, and waiting that long is enough."""
    clock = Clock()
    rates = Rates(clock)
    assert [rates.take(Options(rpm=3), 1) for _ in range(3)] == [None] * 3
    denial = rates.take(Options(rpm=3), 1)
    assert denial is not None
    assert (denial.which, denial.limit, denial.used, denial.requested, denial.wait) == ("requests", 3, 3, 1, 20)
    clock.now += 19.9
    assert rates.take(Options(rpm=3), 1) is not None
    clock.now += 0.1
    assert rates.take(Options(rpm=3), 1) is None


def test_a_call_takes_from_both_limits_or_from_none() -> None:
    """A call that its tokens refuse has cost no request."""
    rates = Rates(Clock())
    assert rates.take(Options(rpm=2, tpm=100), 90) is None
    denial = rates.take(Options(rpm=2, tpm=100), 20)
    assert denial is not None
    assert (denial.which, denial.wait) == ("tokens", 6)
    assert rates.take(Options(rpm=2, tpm=100), 10) is None


def test_a_call_larger_than_the_limit_never_fits() -> None:
    """It is refused without a time to come back, as no time would do."""
    denial = Rates(Clock()).take(Options(tpm=100), 101)
    assert denial is not None
    assert denial.wait is None


def test_rate_headers_tell_what_is_left() -> None:
    """Limit, remaining and reset are there for each limit that is on, and for no other."""
    clock = Clock()
    rates = Rates(clock)
    assert rates.headers(Options()) == {}
    rates.take(Options(rpm=60, tpm=600), 15)
    clock.now += 0.25
    assert rates.headers(Options(rpm=60, tpm=600)) == {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "750ms",
        "x-ratelimit-limit-tokens": "600",
        "x-ratelimit-remaining-tokens": "587",
        "x-ratelimit-reset-tokens": "1.25s",
    }


@given(waits=st.lists(st.floats(0, 3), max_size=80), rpm=st.integers(1, 40))
def test_never_more_than_the_burst_and_the_flow(waits: list[float], rpm: int) -> None:
    """However calls come, at most a full limit and what flowed back since get through."""
    clock = Clock()
    rates, passed, start = Rates(clock), 0, clock.now
    for wait in waits:
        clock.now += wait
        passed += rates.take(Options(rpm=rpm), 1) is None
    assert passed <= rpm + (clock.now - start) * rpm / 60 + 1e-6


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(0, "0ms"), (0.84, "840ms"), (1.2, "1.2s"), (59.9994, "60s"), (60, "1m0s"), (360, "6m0s"), (61.5, "1m2s")],
)
def test_spans_are_written_as_openai_does(seconds: float, written: str) -> None:
    """Milliseconds below a second, then seconds, then minutes."""
    assert span(seconds) == written


async def test_slots_refuse_beyond_the_limit_and_come_back() -> None:
    """As many as the limit, not one more, until one is given back."""
    slots = Slots(lambda: 2)
    assert [slots.take() for _ in range(3)] == [True, True, False]
    slots.release()
    assert slots.take()
    assert (slots.in_use, slots.peak) == (2, 2)


async def test_who_waits_for_a_slot_goes_in_order() -> None:
    """The line is first come, first served, and nobody overtakes it."""
    slots, order = Slots(lambda: 1), list[int]()
    slots.take()

    async def caller(number: int) -> None:
        await slots.wait()
        order.append(number)
        slots.release()

    async with asyncio.TaskGroup() as group:
        for number in range(4):
            group.create_task(caller(number))
        await asyncio.sleep(0)
        assert slots.waiting == 4
        assert not slots.take()
        slots.release()
    assert order == [0, 1, 2, 3]
    assert (slots.in_use, slots.waiting) == (0, 0)


@pytest.mark.parametrize("granted", [True, False])
async def test_who_leaves_the_line_takes_no_slot_along(granted: bool) -> None:
    """A caller who leaves while waiting, even in the moment of the grant, leaves the slot to the next."""
    slots = Slots(lambda: 1)
    slots.take()
    leaver = asyncio.create_task(slots.wait())
    stayer = asyncio.create_task(slots.wait())
    await asyncio.sleep(0)
    if granted:
        slots.release()
    leaver.cancel()
    if not granted:
        slots.release()
    await stayer
    assert leaver.cancelled()
    assert (slots.in_use, slots.waiting) == (1, 0)


async def test_a_raised_limit_lets_the_line_in() -> None:
    """A waiting caller goes on when there is more room, not only when another one leaves."""
    room = 1
    slots = Slots(lambda: room)
    slots.take()
    waiting = [asyncio.create_task(slots.wait()) for _ in range(3)]
    await asyncio.sleep(0)
    room = 3
    slots.wake()
    await asyncio.gather(*waiting[:2])
    assert (slots.in_use, slots.waiting) == (3, 1)
    room = UNLIMITED
    slots.wake()
    await waiting[2]


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        (None, {"Retry-After": "2", "retry-after-ms": "1200"}),
        (3, {"Retry-After": "3", "retry-after-ms": "3000"}),
        (0.5, {"Retry-After": "1", "retry-after-ms": "500"}),
        ("off", {}),
    ],
)
def test_retry_after_is_whole_seconds_rounded_up(option: float | str | None, expected: dict[str, str]) -> None:
    """What the wait is, or what the option says, never less than that."""
    refusal = errors.Refusal(outcome="rpm", status=429, type="requests", message="wait", wait=1.2)
    assert errors.retry_after(refusal, Options(retry_after=option), 0) == expected


def test_retry_after_can_be_a_date() -> None:
    """As an HTTP-date it lies in the future by at least the wait."""
    refusal = errors.Refusal(outcome="slots", status=429, type="requests", message="wait", wait=1.0)
    written = errors.retry_after(refusal, Options(retry_after="date"), 1_700_000_000.3)["Retry-After"]
    assert written.endswith(" GMT")
    assert parsedate_to_datetime(written).timestamp() == 1_700_000_002


def test_a_used_up_quota_has_no_retry_after() -> None:
    """No wait helps, so none is named."""
    assert errors.retry_after(errors.no_quota(), Options(retry_after=5), 0) == {}


def test_a_refused_key_is_quoted_by_its_ends_only() -> None:
    """As the real one does; the middle of a key is in no answer."""
    key = "sk-abcdefghijklmnopqrstuvwxyz"
    assert key not in errors.bad_key(key).message
    assert "short" not in errors.bad_key("short").message
