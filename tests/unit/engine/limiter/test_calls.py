"""One provider call: what is tried again and when, what is not, and that no slot is ever left behind."""

import asyncio

import pytest

from sidecar.core.errors import (
    DeadlineExceeded,
    RateLimited,
    SidecarError,
    UpstreamAuth,
    UpstreamError,
    UpstreamFailure,
    UpstreamUnreachable,
)
from sidecar.engine.limiter.breaker import FAILURES_TO_OPEN
from sidecar.engine.limiter.retry import MOST_RETRIES
from tests.support.scripted_calls import OK, Bench, Script, refusal, settle
from tests.support.virtual_time import in_virtual_time


@in_virtual_time
async def test_an_answer_costs_one_call() -> None:
    """The ordinary case: one attempt, its tokens counted, its slot free again."""
    bench = Bench(Script(OK))
    assert await bench.complete() == OK
    assert (bench.trace.calls, bench.trace.prompt_tokens, bench.trace.completion_tokens) == (1, 3, 4)
    assert bench.calls.idle


@in_virtual_time
async def test_a_call_that_never_arrived_is_tried_again() -> None:
    """Without a connection nothing was paid for: after a moment the caller has the answer of the second try."""
    bench = Bench(Script(UpstreamUnreachable(retryable=True), OK))
    assert await bench.complete() == OK
    assert (bench.script.calls, len(bench.pauses)) == (2, 1)


@pytest.mark.parametrize(
    "failure",
    [
        RateLimited(status=429, retryable=True, scope="capacity"),
        UpstreamError(status=503, retryable=True, scope="capacity"),
        UpstreamError(status=529, retryable=True, scope="capacity"),
    ],
    ids=["429", "503", "529"],
)
@in_virtual_time
async def test_a_refused_call_waits_in_the_gate_alone(failure: UpstreamFailure) -> None:
    """A refusal for want of room, whatever its status: the limit says when the next try comes, and no pause besides."""
    bench = Bench(Script(failure, OK))
    assert await bench.complete() == OK
    assert (bench.script.calls, bench.pauses) == (2, [])


@in_virtual_time
async def test_refusals_use_nothing_up() -> None:
    """However often a call was refused, it is answered once there is room for it before its deadline."""
    bench = Bench(Script(*[refusal()] * (3 * MOST_RETRIES), OK))
    assert await bench.complete(left=3600.0) == OK
    assert bench.script.calls == 3 * MOST_RETRIES + 1


@in_virtual_time
async def test_a_refused_call_keeps_its_turn() -> None:
    """The next caller stays next: the callers behind do not overtake a call that the provider refused."""
    bench = Bench(Script(refusal(), OK, seconds=0.1), concurrency=1)
    await asyncio.gather(*bench.start(3))
    assert bench.script.users == ["user 0", "user 0", "user 1", "user 2"]


@in_virtual_time
async def test_failures_that_are_no_refusals_are_tried_a_bounded_number_of_times() -> None:
    """A provider that fails everything hears a caller nine times at most, ever more rarely."""
    bench = Bench(Script(UpstreamError(status=500, retryable=True)))
    with pytest.raises(UpstreamError):
        await bench.complete(left=3600.0)
    assert bench.script.calls == 1 + MOST_RETRIES
    assert bench.pauses[-1] > 2 * bench.pauses[0]


@pytest.mark.parametrize(
    "failure",
    [
        UpstreamError(status=400, scope="request"),
        UpstreamError(status=500),
        UpstreamAuth(status=401),
        RateLimited(status=429, scope="account"),
        DeadlineExceeded(),
    ],
    ids=["400", "500", "401", "quota", "deadline"],
)
@in_virtual_time
async def test_what_may_have_cost_something_is_final(failure: SidecarError) -> None:
    """A read timeout, another status or a used-up quota is never paid for twice."""
    bench = Bench(Script(failure))
    with pytest.raises(type(failure)):
        await bench.complete()
    assert bench.script.calls == 1
    assert bench.calls.idle


@in_virtual_time
async def test_what_is_only_likely_to_be_free_is_tried_once() -> None:
    """A kept connection that was closed before its first byte: one more try, since the first may have been billed."""
    bench = Bench(Script(UpstreamUnreachable(retryable=True, once=True)))
    with pytest.raises(UpstreamUnreachable):
        await bench.complete()
    assert bench.script.calls == 2


@in_virtual_time
async def test_the_providers_own_time_is_a_floor_while_nothing_runs() -> None:
    """A first `Retry-After` of up to two seconds is not undercut by a call into the silence."""
    bench = Bench(Script(refusal(retry_after=1.5), OK))
    await bench.complete()
    first, second = bench.script.called
    assert 1.5 <= second - first < 1.6


@in_virtual_time
async def test_a_named_wait_counts_for_nothing_while_calls_run() -> None:
    """An answer that is coming tells of room sooner than the provider's words do."""
    bench = Bench(Script(OK, refusal(retry_after=20.0), OK, seconds=0.5), concurrency=2)
    started = bench.now()
    await asyncio.gather(*bench.start(2))
    assert bench.now() - started < 3.0


@in_virtual_time
async def test_a_wait_that_outlasts_the_caller_fails_at_once() -> None:
    """Where nothing will be sent before the caller's deadline, the caller hears so now, and for how long."""
    bench = Bench(Script(refusal(retry_after=30.0)))
    started = bench.now()
    with pytest.raises(RateLimited) as told:
        await bench.complete(left=1.0)
    assert told.value.retry_after == pytest.approx(2.0)
    assert (bench.now(), bench.script.calls) == (started, 1)


@in_virtual_time
async def test_a_countdown_of_the_provider_is_believed_once_it_is_confirmed() -> None:
    """Two refusals that name the same end: a caller whose deadline comes before it waits no longer."""
    bench = Bench(Script(refusal(retry_after=60.0), refusal(retry_after=58.0)))
    started = bench.now()
    with pytest.raises(RateLimited) as told:
        await bench.complete(left=25.0)
    assert told.value.retry_after == pytest.approx(58.0)
    assert bench.now() - started == pytest.approx(2.0)


@in_virtual_time
async def test_a_pause_holds_no_slot() -> None:
    """While one call waits for its retry, another uses the slot."""
    bench = Bench(Script(UpstreamUnreachable(retryable=True), OK), concurrency=1)
    free: list[bool] = []

    async def sleep(seconds: float) -> None:
        free.append(bench.calls.idle)

    bench.calls.sleep = sleep
    await bench.complete()
    assert free == [True]


@in_virtual_time
async def test_a_retry_is_no_probe() -> None:
    """A call that paused when the breaker opened ends with its own failure; the provider is asked when that is due."""
    bench = Bench(Script(UpstreamUnreachable(retryable=True)))
    woken = asyncio.Event()

    async def sleep(_: float) -> None:
        await woken.wait()

    bench.calls.sleep = sleep
    pausing = asyncio.create_task(bench.complete())
    await settle()
    assert bench.script.calls == 1
    bench.script.lines = [UpstreamUnreachable()]
    for _ in range(FAILURES_TO_OPEN[UpstreamUnreachable] - 1):
        with pytest.raises(UpstreamUnreachable):
            await bench.complete()
    assert bench.calls.pool.providers[0].limit.breaker.state == "open"
    woken.set()
    with pytest.raises(UpstreamUnreachable):
        await pausing
    assert bench.script.calls == FAILURES_TO_OPEN[UpstreamUnreachable]


@in_virtual_time
async def test_calls_wait_in_the_gate_while_the_adapter_loads() -> None:
    """The time of loading is nobody's measured call."""
    bench = Bench(Script(OK))
    loaded = asyncio.Event()
    bench.calls.open_after(asyncio.create_task(loaded.wait()))
    call = asyncio.create_task(bench.complete())
    await settle()
    assert (bench.calls.gate.waiting, bench.script.calls) == (1, 0)
    loaded.set()
    assert await call == OK
