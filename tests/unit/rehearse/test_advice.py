"""Promises of the advice: one sentence with the remedy, chosen by what cost pupils most."""

import pytest

from sidecar.rehearse.advice import Facts, advise
from sidecar.rehearse.plan import Plan
from sidecar.rehearse.replies import Click, Reply
from sidecar.rehearse.result import result_of
from tests.support.rehearsals import clicks_of, facts_of, log_of, result_with, server_with

BOUND = server_with(slots={"found": 16, "ceiling": 64})


@pytest.mark.parametrize(
    ("facts", "rule", "words"),
    [
        (facts_of(), "nothing", "No click ended"),
        (facts_of(unreachable=9, ok=1), "errors", "9 clicks failed with unreachable: nothing took the connection"),
        (facts_of(upstream_auth=2), "errors", "OPENAI_API_KEY"),
        (facts_of(some_new_code=1), "errors", "1 click failed with some_new_code: the sidecar's log"),
        (facts_of(server_with(), gave_up=3, ok=9), "caller_too_impatient", "OPENAI_SIDECAR_HTTP_TIMEOUT"),
        (facts_of(server_with(), limited=3, ok=9), "site_limits", "limits that this site set"),
        (facts_of(server_with(), overloaded=3, most_waiting=2048), "queue_full", "QUEUE_SIZE"),
        (facts_of(BOUND, overloaded=125, ok=175), "provider_is_the_limit", "about 16 calls at once"),
        (
            facts_of(server_with(), timeout=125, ok=175, most_waiting=300),
            "concurrency_is_the_limit",
            "below CONCURRENCY=64, with which this class of 300 calls needs about 10 s: raise it",
        ),
        (facts_of(server_with(), timeout=60, ok=3, most_waiting=60), "provider_too_slow", "REQUEST_TIMEOUT"),
        (facts_of(server_with(), timeout=300, most_waiting=300), "provider_too_slow", "300 callers got no answer"),
        (facts_of(BOUND, rate_limited=50, ok=10), "provider_refuses", "quota"),
        (facts_of(server_with(), rate_limited=60), "provider_refuses", "refused 60 callers"),
        (facts_of(BOUND, rate_limited=5, overloaded=120, ok=75), "provider_is_the_limit", "about 16 calls at once"),
        (facts_of(timeout=5, ok=175), "unserved_for_unknown_cause", "GET /status"),
        (facts_of(server_with(), ok=9), "all_well", "the slowest after 1.0 s"),
        (facts_of(BOUND, ok=9), "all_well", "every click was answered"),
    ],
)
def test_a_rule_for_each_case(facts: Facts, rule: str, words: str) -> None:
    """The cause and what to do about it."""
    advice = advise(facts)
    assert advice.rule == rule
    assert words in advice.sentence


def test_the_providers_limit_says_how_long_the_class_needs() -> None:
    """300 calls of 2 s, 16 at once."""
    assert "this class of 300 calls needs about 38 s" in advise(facts_of(BOUND, overloaded=125, ok=175)).sentence


def test_a_few_errors_do_not_hide_the_bottleneck() -> None:
    """The most frequent loss speaks."""
    assert advise(facts_of(BOUND, overloaded=100, upstream_error=3)).rule == "provider_is_the_limit"
    assert advise(facts_of(BOUND, overloaded=3, upstream_error=100)).rule == "errors"


def test_slow_is_not_well() -> None:
    """Answered, but after more than half of PHP's time."""
    result = result_with(*[Click(0, 21, Reply("ok"))] * 9)
    assert advise(Facts(result=result, server=server_with(), needed=9)).rule == "slow"


def test_a_machine_that_could_not_play_the_class_blames_nobody_else() -> None:
    """Connections that time out in a busy caller are no fault of the sidecar."""
    log = log_of(clicks_of(unreachable=9, ok=1))
    log.behind = 8.9
    result = result_of(Plan(), log, None, interrupted=False)
    advice = advise(Facts(result=result, server=server_with(), needed=9))
    assert advice.rule == "machine_too_busy"
    assert "up to 8.9 s late" in advice.sentence


def test_a_class_cut_short_is_not_praised_as_a_whole() -> None:
    """Only the clicks that ended were answered."""
    result = result_with(*clicks_of(ok=9, unfinished=3), interrupted=True, most_waiting=1)
    sentence = advise(Facts(result=result, server=server_with(), needed=12)).sentence
    assert sentence.startswith("All well so far: every click that ended was answered")
    assert "PHP needs 1 worker for such calls" in sentence
