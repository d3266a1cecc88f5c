"""One provider call: what is retried, what is not, what the gate learns, and that no slot is ever left behind."""

import asyncio
import time
from collections.abc import AsyncGenerator

import pytest

from sidecar.engine.calls import Calls, Trace
from sidecar.engine.deadline import Deadline
from sidecar.engine.limit import DOWN, FORGOTTEN
from sidecar.engine.turns import Ticket
from sidecar.words.errors import (
    DeadlineExceeded,
    RateLimited,
    SidecarError,
    UpstreamAuth,
    UpstreamError,
    UpstreamFailure,
    UpstreamUnreachable,
)
from sidecar.words.ports import Call, Completion

CALL = Call(messages=({"role": "user", "content": "x"},), max_tokens=10)
OK = Completion(text="fine", prompt_tokens=3, completion_tokens=4)


class Script:
    """A provider that says what the test wrote, line by line; the last line again and again."""

    def __init__(self, *lines: SidecarError | Completion) -> None:
        self.lines = list(lines)
        self.calls = 0
        self.gate: asyncio.Event | None = None

    async def complete(self, call: Call, *, deadline: float) -> Completion:
        self.calls += 1
        line = self.lines.pop(0) if len(self.lines) > 1 else self.lines[0]
        if self.gate is not None:
            await self.gate.wait()
        if isinstance(line, SidecarError):
            raise line
        return line

    async def stream(self, call: Call, *, deadline: float) -> AsyncGenerator[bytes, None]:
        yield b""

    async def aclose(self) -> None: ...


class Bench:
    """Calls over a script, with a clock that pauses move."""

    def __init__(self, script: Script, *, concurrency: int = 4) -> None:
        self.now = time.monotonic()
        self.pauses: list[float] = []
        self.script = script
        self.calls = Calls(script, concurrency=concurrency, clock=lambda: self.now, sleep=self.sleep)
        self.trace = Trace()

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    async def ask(self, *, left: float = 25.0, user: str = "anna") -> Completion:
        return await self.calls.complete(CALL, Ticket(user), self.trace, deadline=Deadline(self.now + left))


async def test_an_answer_costs_one_call() -> None:
    """The ordinary case: one attempt, its tokens counted, its slot free again."""
    bench = Bench(Script(OK))
    assert await bench.ask() == OK
    assert (bench.trace.calls, bench.trace.prompt_tokens, bench.trace.completion_tokens) == (1, 3, 4)
    assert bench.calls.idle


@pytest.mark.parametrize(
    "failure",
    [
        UpstreamUnreachable(retryable=True),
        RateLimited(status=429, retryable=True),
        UpstreamError(status=503, retryable=True),
        UpstreamError(status=529, retryable=True),
    ],
    ids=["unreachable", "429", "503", "529"],
)
async def test_what_cost_nothing_is_tried_again(failure: UpstreamFailure) -> None:
    """No connection, a refusal, an overloaded provider: the caller never hears of it where another try works."""
    bench = Bench(Script(failure, OK))
    assert await bench.ask() == OK
    assert bench.script.calls == 2
    assert len(bench.pauses) == 1


@pytest.mark.parametrize(
    "failure",
    [
        UpstreamError(status=400),
        UpstreamError(status=500),
        UpstreamAuth(status=401),
        RateLimited(status=429, scope="account"),
        DeadlineExceeded(),
    ],
    ids=["400", "500", "401", "quota", "deadline"],
)
async def test_what_may_have_cost_something_is_final(failure: SidecarError) -> None:
    """A read timeout, another status or a used-up quota is never paid for twice."""
    bench = Bench(Script(failure))
    with pytest.raises(type(failure)):
        await bench.ask()
    assert bench.script.calls == 1
    assert bench.calls.idle


async def test_what_is_only_likely_to_be_free_is_tried_once() -> None:
    """A kept connection that was closed before its first byte: one more try, since the first may have been billed."""
    bench = Bench(Script(UpstreamUnreachable(retryable=True, once=True)))
    with pytest.raises(UpstreamUnreachable):
        await bench.ask()
    assert bench.script.calls == 2


async def test_the_providers_own_time_is_a_floor() -> None:
    """`Retry-After` is never undercut."""
    bench = Bench(Script(RateLimited(retryable=True, retry_after=3.0), OK))
    await bench.ask()
    assert bench.pauses[0] >= 3.0


async def test_a_retry_that_cannot_fit_is_not_waited_for() -> None:
    """Where the provider's time lies beyond the caller's, he hears it now."""
    bench = Bench(Script(RateLimited(retryable=True, retry_after=30.0)))
    with pytest.raises(RateLimited):
        await bench.ask(left=25.0)
    assert bench.pauses == []


async def test_a_pause_holds_no_slot() -> None:
    """While one call waits for its retry, another uses the slot."""
    bench = Bench(Script(UpstreamError(status=503, retryable=True), OK), concurrency=1)
    free: list[bool] = []

    async def sleep(seconds: float) -> None:
        free.append(bench.calls.idle)

    bench.calls.sleep = sleep
    await bench.ask()
    assert free == [True]


async def test_the_budget_ends_a_storm_of_retries() -> None:
    """A provider that fails everything is not asked eight times by everybody."""
    bench = Bench(Script(RateLimited(retryable=True)), concurrency=1)
    for _ in range(100):
        with pytest.raises(RateLimited):
            await bench.ask(left=1e6)
    assert bench.script.calls == 100 + 32


async def test_a_minute_limit_holds_the_gate_and_lets_it_go() -> None:
    """After a refusal for requests a minute no call starts before its time; then they go on by themselves."""
    bench = Bench(Script(RateLimited(status=429, scope="minute", retry_after=0.05), OK))
    with pytest.raises(RateLimited):
        await bench.ask()
    assert bench.calls.gate.slots == 0
    waiting = asyncio.create_task(bench.ask())
    await asyncio.sleep(0)
    assert bench.calls.gate.waiting == 1
    bench.now += 0.06
    assert await waiting == OK


async def test_when_the_provider_is_down_nobody_waits() -> None:
    """The failure that opens the breaker ends every wait in the queue with its own words."""
    script = Script(UpstreamUnreachable())
    script.gate = asyncio.Event()
    bench = Bench(script, concurrency=DOWN[UpstreamUnreachable])
    tasks = [asyncio.create_task(bench.ask(user=str(n))) for n in range(50)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    script.gate.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(result) for result in results} == {UpstreamUnreachable}
    assert script.calls < 2 * DOWN[UpstreamUnreachable]
    assert len({id(result) for result in results}) > 40
    assert bench.calls.idle


async def test_a_burst_after_a_quiet_time_is_not_held_to_an_old_limit() -> None:
    """The limit forgets by itself; the gate hears so with the first call and not with its end."""
    bench = Bench(Script(OK))
    bench.calls.limit.failed(RateLimited(retryable=True), bench.calls.limit.generation, running=0)
    bench.calls.limit.failed(RateLimited(retryable=True), bench.calls.limit.generation, running=0)
    bench.calls.follow()
    assert bench.calls.gate.slots == 1
    bench.now += FORGOTTEN + 1
    bench.script.gate = asyncio.Event()
    asked = [asyncio.create_task(bench.ask(user=str(number))) for number in range(4)]
    for _ in range(3):
        await asyncio.sleep(0)
    assert bench.calls.gate.running == 4
    bench.script.gate.set()
    await asyncio.gather(*asked)


async def test_a_retry_is_no_probe() -> None:
    """Who was pausing when the breaker opened hears what his own call met; the provider is asked when that is due."""
    bench = Bench(Script(UpstreamUnreachable(retryable=True)))
    woken = asyncio.Event()

    async def sleep(_: float) -> None:
        await woken.wait()

    bench.calls.sleep = sleep
    pausing = asyncio.create_task(bench.ask())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert bench.script.calls == 1
    bench.script.lines = [UpstreamUnreachable()]
    for _ in range(DOWN[UpstreamUnreachable] - 1):
        with pytest.raises(UpstreamUnreachable):
            await bench.ask()
    assert bench.calls.limit.breaker == "open"
    woken.set()
    with pytest.raises(UpstreamUnreachable):
        await pausing
    assert bench.script.calls == DOWN[UpstreamUnreachable]


async def test_a_probe_that_succeeds_lets_everybody_in_again() -> None:
    """After the cooldown one call goes through; with its answer the gate is wide open."""
    bench = Bench(Script(*[UpstreamUnreachable()] * 5, OK))
    for _ in range(5):
        with pytest.raises(UpstreamUnreachable):
            await bench.ask()
    assert bench.calls.limit.breaker == "open"
    bench.now += 2.0
    assert await bench.ask() == OK
    assert bench.calls.limit.breaker == "closed"
    assert bench.calls.gate.slots == 4


async def test_a_call_cut_off_at_its_deadline_teaches_the_limit() -> None:
    """Calls that run into their deadline shrink the limit, as a refusal would."""
    script = Script(OK)
    script.gate = asyncio.Event()
    bench = Bench(script, concurrency=8)
    calls = [asyncio.create_task(bench.ask(left=25.0)) for _ in range(4)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    bench.now += 25.0
    for call in calls:
        call.cancel()
    await asyncio.wait(calls)
    assert bench.calls.limit.found == 6
    assert bench.calls.idle


async def test_a_caller_who_leaves_teaches_nothing() -> None:
    """A closed browser tab says nothing about the provider, and frees the slot."""
    script = Script(OK)
    script.gate = asyncio.Event()
    bench = Bench(script, concurrency=8)
    call = asyncio.create_task(bench.ask(left=25.0))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    call.cancel()
    await asyncio.wait((call,))
    assert bench.calls.limit.found == 8
    assert bench.calls.idle


async def test_the_wait_is_told_from_what_was_measured() -> None:
    """Waiting calls times the measured time of a call over the slots; nothing before the first measurement."""
    script = Script(OK)
    bench = Bench(script, concurrency=2)
    assert bench.calls.wait("anna") == 0.0
    bench.calls.limit.succeeded(0.5, 0, saturated=False)
    script.gate = asyncio.Event()
    tasks = [asyncio.create_task(bench.ask(user=str(n))) for n in range(6)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert bench.calls.wait("anna") == (4 + 1) * 0.5 / 2
    script.gate.set()
    await asyncio.gather(*tasks)


async def test_after_an_outage_and_a_pause_the_gate_opens_by_itself() -> None:
    """The breaker's probe meets a limit a minute: when that is over, calls go through again."""
    bench = Bench(Script(*[UpstreamError(status=500)] * 20, RateLimited(scope="minute", retry_after=0.02), OK))
    for _ in range(20):
        with pytest.raises(UpstreamError):
            await bench.ask()
    bench.now += 2.0
    with pytest.raises(RateLimited):
        await bench.ask()
    waiting = asyncio.create_task(bench.ask())
    await asyncio.sleep(0)
    assert bench.calls.gate.slots == 0
    bench.now += 0.06
    assert await waiting == OK


async def test_calls_wait_in_the_gate_while_the_adapter_loads() -> None:
    """The time of loading is nobody's measured call."""
    bench = Bench(Script(OK))
    loaded = asyncio.Event()
    bench.calls.open_after(asyncio.create_task(loaded.wait()))  # type: ignore[arg-type]
    call = asyncio.create_task(bench.ask())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert (bench.calls.gate.waiting, bench.script.calls) == (1, 0)
    loaded.set()
    assert await call == OK
