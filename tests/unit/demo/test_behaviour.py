"""Promises of the demo provider's options: how it is told to behave, and the fate of each call."""

import pytest

from sidecar.demo import options as behaviour
from sidecar.demo.options import BadOptionError, Options, changed
from sidecar.demo.outcome import Dice


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
