"""A lone caller behind a provider that refuses: told soon where waiting is useless, patient where it may help."""

import asyncio
from collections.abc import Callable

import pytest

from sidecar.core.contract import Request
from sidecar.core.errors import DeadlineExceeded
from sidecar.core.ports import Call, Completion
from sidecar.engine.engine import Outcome
from sidecar.engine.limiter.pauses import A_MINUTE, FIRST_BELIEF
from sidecar.engine.limiter.pool import Pool
from sidecar.engine.limiter.provider import Provider
from sidecar.engine.limiter.trace import Trace
from sidecar.engine.service import Service
from sidecar.provider import errors
from sidecar.provider.connection_errors import CONNECT_SECONDS, not_connected
from sidecar.provider.http_answer import Answer
from tests.support.bursts import service_at
from tests.support.engines import code, request_of, service_over
from tests.support.held_provider import HeldUpstream
from tests.support.simulated_pool import Unstored
from tests.support.simulated_provider import refusal
from tests.support.virtual_time import in_virtual_time
from tests.support.worlds import Voice, World

SOON = FIRST_BELIEF + 0.5
"""Seconds within which a lone caller hears that waiting is useless."""
FOR_GOOD = {
    "401": Answer(401, {}, b'{"error": {"message": "Incorrect API key provided.", "code": "invalid_api_key"}}'),
    "403": Answer(403, {}, b'{"error": {"type": "permission_error", "message": "This key has no permission."}}'),
    "402": Answer(402, {}, b'{"error": {"message": "Payment required"}}'),
    "404": Answer(404, {}, b'{"error": {"message": "The model `m` does not exist", "code": "model_not_found"}}'),
    "quota": Answer(429, {}, b'{"error": {"message": "No.", "type": "insufficient_quota"}}'),
    "quota in words": Answer(429, {}, b'{"error": {"message": "You exceeded your current quota: check billing."}}'),
    "billing": Answer(400, {}, b'{"error": {"type": "billing_error", "message": "Your credit balance is too low"}}'),
    "flagged": Answer(403, {}, b'{"error": {"message": "Your input was flagged by moderation."}}'),
    "500": Answer(500, {}, b'{"error": {"message": "Oops"}}'),
    "502": Answer(502, {}, b"<html>Bad gateway</html>"),
}


class Refusing(HeldUpstream):
    """Refuses until a point on the clock, `slowness` seconds after each call, and answers from then on."""

    def __init__(self, answer: Callable[[float], Answer], *, back: float = 1e9) -> None:
        super().__init__()
        self._answer = answer
        self.back = back + now()
        self.slowness = [0.05]

    async def complete(self, call: Call, *, deadline: float) -> Completion:
        self.calls.append(call)
        await asyncio.sleep(self.slowness[min(len(self.calls), len(self.slowness)) - 1])
        if now() >= self.back:
            return Completion(text="fine")
        raise errors.failure(self._answer(now()), call)


def now() -> float:
    return asyncio.get_running_loop().time()


async def told(service: Service, *, seconds: float = 25.0) -> tuple[Outcome, float]:
    """Return the reply to one caller, and the seconds that it took."""
    began = now()
    outcome = await service.engine.answer(request_of(seconds=seconds))
    return outcome, now() - began


@pytest.mark.parametrize("answer", FOR_GOOD.values(), ids=FOR_GOOD.keys())
@in_virtual_time
async def test_a_refusal_for_good_is_heard_at_once(answer: Answer) -> None:
    """Keys, quotas, bills, models and faults of a server are no want of room: one call, and no waiting."""
    upstream = Refusing(lambda _: answer)
    outcome, took = await told(service_over(upstream))
    assert not outcome.reply.success
    assert (len(upstream.calls), took < 0.1) == (1, True)


@pytest.mark.parametrize("voice", ["openai", "azure", "gemini", "wrong"])
@in_virtual_time
async def test_a_wait_beyond_the_deadline_is_told_soon(voice: Voice) -> None:
    """One more call confirms what the provider named; the next caller hears it without a call."""
    upstream = Refusing(lambda at: refusal(voice, 1060.0 - at, 60.0))
    service = service_over(upstream)
    outcome, took = await told(service)
    assert (code(outcome), len(upstream.calls)) == ("rate_limited", 2)
    assert took < SOON
    assert outcome.retry_after is not None
    assert outcome.retry_after > 25
    outcome, took = await told(service)
    assert (code(outcome), len(upstream.calls), took) == ("rate_limited", 2, 0.0)


@in_virtual_time
async def test_a_job_waits_however_little_time_it_has() -> None:
    """Nobody waits for it, and the wait that the provider names may be a constant."""
    upstream = Refusing(lambda at: refusal("openai", 1060.0 - at, 60.0))
    request, began = Request(action="chat", content="a job"), now()
    with pytest.raises(DeadlineExceeded):
        await service_over(upstream).background.text(
            request, Unstored(), Trace(), deadline=began + 50.0, background=True
        )
    assert now() - began == pytest.approx(50.0)


@in_virtual_time
async def test_a_refusal_that_comes_late_is_no_admission() -> None:
    """A call that takes ten times as long to be refused looked admitted for a moment; it proves the same."""
    upstream = Refusing(lambda at: refusal("openai", 1060.0 - at, 60.0))
    upstream.slowness = [0.02, 0.5]
    outcome, took = await told(service_over(upstream))
    assert (code(outcome), len(upstream.calls)) == ("rate_limited", 2)
    assert took < SOON + 0.5


@in_virtual_time
async def test_an_answer_in_between_begins_anew() -> None:
    """What was refused before it says nothing about a refusal after it."""
    upstream = Refusing(lambda _: refusal("wrong", 1.0, 1.0))
    service = service_over(upstream)
    await told(service)
    upstream.back = now()
    await asyncio.sleep(5.0)
    assert (await told(service))[0].reply.success
    upstream.back, before = now() + 1.0, len(upstream.calls)
    assert (await told(service))[0].reply.success
    assert len(upstream.calls) - before == 2


@in_virtual_time
async def test_a_wrong_wait_does_not_shut_the_provider() -> None:
    """A caller who comes after the pause is a probe, and answered where the provider takes calls again."""
    upstream = Refusing(lambda _: refusal("wrong", 1.0, 1.0), back=10.0)
    service = service_over(upstream)
    await told(service)
    await asyncio.sleep(10.0)
    outcome, took = await told(service)
    assert outcome.reply.success
    assert took < SOON


@pytest.mark.parametrize("voice", ["openai", "azure", "gemini"])
@in_virtual_time
async def test_a_wait_that_fits_is_waited_for(voice: Voice) -> None:
    """A limit that is back in eight seconds costs eight seconds, and the caller has an answer."""
    upstream = Refusing(lambda at: refusal(voice, upstream.back - at, 60.0), back=8.0)
    outcome, took = await told(service_over(upstream))
    assert outcome.reply.success
    assert took < 11.0


@pytest.mark.parametrize("voice", ["bare", "503", "529", "nowait", "reset"])
@in_virtual_time
async def test_without_a_named_wait_the_time_is_used(voice: Voice) -> None:
    """A bare refusal may end at any moment: whoever has time left has it used."""
    upstream = Refusing(lambda _: refusal(voice, 1.0, 360.0), back=12.0)
    outcome, _ = await told(service_over(upstream))
    assert outcome.reply.success


@in_virtual_time
async def test_after_a_minute_of_refusals_one_call_says_enough() -> None:
    """Later callers hear it within seconds; one answer, or a minute of silence, and the time is used again."""
    upstream = Refusing(lambda _: refusal("503", 1.0, 1.0))
    service = service_over(upstream)
    while now() - 1000.0 < A_MINUTE + 1:
        await told(service)
    for _ in range(3):
        await asyncio.sleep(3.0)
        outcome, took = await told(service)
        assert not outcome.reply.success
        assert took < SOON
    upstream.back = now()
    await asyncio.sleep(6.0)
    assert (await told(service))[0].reply.success
    upstream.back = now() + 10.0
    assert (await told(service))[0].reply.success


@in_virtual_time
async def test_two_callers_find_out_what_the_provider_takes() -> None:
    """Beside another call a long name proves nothing: with one slot each has its turn."""
    upstream = Refusing(lambda _: refusal("wrong", 1.0, 1.0), back=5.0)
    service = service_over(upstream)
    outcomes = await asyncio.gather(*(service.engine.answer(request_of(user=name)) for name in "ab"))
    assert [outcome.reply.success for outcome in outcomes] == [True, True]


@pytest.mark.parametrize(("back", "success"), [(1e9, False), (0.0, True)])
@in_virtual_time
async def test_of_several_providers_none_has_a_hope(back: float, success: bool) -> None:
    """While one is left that takes the call, the other's words concern nobody."""
    upstreams = [Refusing(lambda at: refusal("openai", 1060.0 - at, 60.0)) for _ in range(2)]
    upstreams[1].back = now() + back
    providers = [Provider(one, name=str(number), concurrency=8, clock=now) for number, one in enumerate(upstreams)]
    service = service_at(Pool(providers), World(name="two"))
    outcome, took = await told(service)
    assert (outcome.reply.success, took < 2 * SOON) == (success, True)


@in_virtual_time
async def test_a_caller_with_much_time_waits() -> None:
    """A line of a batch loses nothing by waiting until the provider takes calls again."""
    upstream = Refusing(lambda _: refusal("wrong", 1.0, 1.0), back=100.0)
    outcome, _ = await told(service_over(upstream), seconds=900.0)
    assert outcome.reply.success


@in_virtual_time
async def test_an_address_that_never_connects_is_tried_twice() -> None:
    """Each try takes the connect timeout: the caller hears what is wrong, and not a timeout at the deadline."""
    upstream = HeldUpstream()

    async def complete(call: Call, *, deadline: float) -> Completion:
        upstream.calls.append(call)
        await asyncio.sleep(CONNECT_SECONDS)
        raise not_connected(TimeoutError(), "host")

    upstream.complete = complete  # type: ignore[method-assign]
    outcome, took = await told(service_over(upstream))
    assert (code(outcome), len(upstream.calls)) == ("upstream_unreachable", 2)
    assert took < 2 * CONNECT_SECONDS + 0.5
