"""Promises of the statistics: what ends is counted once, under bounded keys, with the cause of every early refusal."""

import asyncio

import pytest

from sidecar.core.errors import Overloaded, RateLimited, UpstreamAuth, UpstreamUnreachable
from sidecar.core.observations import CallEnd, RequestEnd
from sidecar.core.ports import Call
from sidecar.engine.limiter.trace import Trace
from sidecar.engine.request import CompletionRequest
from sidecar.engine.statistics import SECONDS, Histogram, Outcome, Refusal, Requests, Statistics, Tokens
from tests.support.engines import service_over
from tests.support.held_provider import HeldUpstream


@pytest.mark.parametrize("seconds", [0.0, 0.005, 0.0051, 7.9, 600.0, 601.0])
def test_a_value_is_in_the_first_bucket_whose_bound_it_does_not_pass(seconds: float) -> None:
    """Bounds are inclusive, as Prometheus' `le` has them; one bucket more takes what is longer."""
    histogram = Histogram()
    histogram.observe(seconds, "r-1")

    bucket = histogram.counts.index(1)
    assert sum(histogram.counts) == 1
    assert bucket == len(SECONDS) or seconds <= SECONDS[bucket]
    assert bucket == 0 or seconds > SECONDS[bucket - 1]
    exemplar = histogram.exemplars[bucket]
    assert exemplar is not None
    assert (exemplar.request_id, exemplar.value) == ("r-1", seconds)


def test_tokens_are_counted_by_action_and_provider() -> None:
    """What a request cost is counted where it ended, success or failure."""
    statistics = Statistics()
    for code in ("ok", "timeout"):
        statistics.request_ended(
            RequestEnd(
                request_id="r",
                route="ai",
                action="chat",
                code=code,
                calls=1,
                prompt_tokens=7,
                completion_tokens=2,
                provider="east",
            )
        )
    assert statistics.tokens == {Tokens("chat", "east", "prompt"): 14, Tokens("chat", "east", "completion"): 4}
    assert statistics.requests == {Requests("ai", "chat", "ok"): 1, Requests("ai", "chat", "timeout"): 1}


def test_a_shed_request_is_in_no_histogram() -> None:
    """A class refused within a millisecond must not look like quick answers."""
    statistics = Statistics()
    statistics.request_ended(RequestEnd(request_id="r", route="ai", code="overloaded", shed="places"))
    assert statistics.shed == {"places": 1}
    assert not statistics.duration


def test_a_request_that_its_route_refuses_is_in_no_histogram() -> None:
    """A script over its limit, or without a token, must not look like a hundred quick answers a second."""
    statistics = Statistics()
    for code in ("limited", "unauthorized", "invalid_json"):
        statistics.request_ended(RequestEnd(request_id="r", route="ai", code=code))
    assert statistics.requests[Requests("ai", "", "limited")] == 1
    assert not statistics.duration


def test_requests_without_an_answer_are_counted_by_cause_route_and_token() -> None:
    """An early refusal by its cause, any other end by its code; a caller who left wants no answer."""
    statistics = Statistics()
    for code, shed, token in (
        ("overloaded", "late", "arts"),
        ("timeout", "", ""),
        ("ok", "", ""),
        ("cancelled", "", ""),
    ):
        statistics.request_ended(RequestEnd(request_id="r", route="ai", code=code, shed=shed, token=token))
    assert statistics.refusals == {Refusal("ai", "arts", "late", True): 1, Refusal("ai", "", "timeout", False): 1}


def test_calls_are_counted_by_outcome_and_retries_apart() -> None:
    """Only answered calls tell the provider's latency; a stream's first event is a number of its own."""
    statistics = Statistics()
    statistics.call_ended(CallEnd(provider="", code="rate_limited", scope="capacity", seconds=0.01))
    statistics.call_ended(CallEnd(provider="", code="ok", retry=True, seconds=2.0, first=0.3))

    assert statistics.calls == {Outcome("", "rate_limited", "capacity"): 1, Outcome("", "ok", ""): 1}
    assert statistics.retries == {"": 1}
    assert sum(statistics.latency[""].counts) == 1
    assert statistics.first_token[""].sum == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("error", "calls", "shed"),
    [
        (Overloaded(cause="late"), 0, "late"),
        (RateLimited(), 0, "pause"),
        (RateLimited(), 3, ""),
        (UpstreamUnreachable(), 0, "breaker"),
        (UpstreamAuth(), 1, ""),
    ],
)
async def test_an_early_refusal_has_a_cause(error: Overloaded, calls: int, shed: str) -> None:
    """Operators see which bound refused callers, apart from calls that failed at the provider."""
    service = service_over(HeldUpstream())
    context = CompletionRequest(
        call=Call(messages=[], max_tokens=1),
        action="chat",
        deadline=1.0,
        request_id="r",
        route="openai",
        arrived=asyncio.get_running_loop().time(),
    )
    service.log.ended(context, Trace(calls=calls), "chat", error)
    assert dict(service.log.statistics.shed) == ({shed: 1} if shed else {})


async def test_a_fault_of_ours_is_no_call_that_was_given_up() -> None:
    """Operators must not look for callers who left."""
    service = service_over(upstream := HeldUpstream())
    upstream.failure = ZeroDivisionError()
    now = asyncio.get_running_loop().time()
    call = Call(messages=[], max_tokens=1)
    request = CompletionRequest(call=call, action="chat", deadline=now + 9, request_id="r", route="openai", arrived=now)
    await service.completions.answer(request, lambda completion: completion.text.encode())
    assert service.log.statistics.calls == {Outcome("", "internal", ""): 1}
