"""The engine's verb: a reply to every request, by its deadline, with nothing held afterwards."""

import asyncio
import time

import pytest

from sidecar.engine.actions import Limits
from sidecar.engine.admission import Admission
from sidecar.engine.calls import Calls
from sidecar.engine.engine import Ask, Engine, Outcome
from sidecar.engine.keys import Keys
from sidecar.engine.limit import DOWN
from sidecar.engine.sharing import Flights, Kept
from sidecar.words.contract import Action, Request
from sidecar.words.errors import Overloaded, RateLimited, UpstreamAuth, UpstreamError, UpstreamUnreachable
from tests.doubles import HeldUpstream


class WholeSplitter:
    """Takes every text for one that fits."""

    async def split(self, text: str, *, fits: int, tokens: int) -> list[str]:
        return [text]


async def settle() -> None:
    """Let every task that can go on do so."""
    for _ in range(10):
        await asyncio.sleep(0)


LIMITS = Limits(max_tokens=1000, summarize_threshold=2000, context_tokens=16_000)


def engine_over(upstream: HeldUpstream, *, concurrency: int = 4, html_safe: bool = False) -> Engine:
    return Engine(
        Calls(upstream, concurrency=concurrency),
        WholeSplitter(),
        admission=Admission(places=10, size=10_000),
        flights=Flights(Kept(ttl=100.0, size=100_000)),
        keys=Keys(model="m", limits=LIMITS),
        limits=LIMITS,
        html_safe=html_safe,
        pseudonym=lambda user: f"hash of {user}",
    )


def ask_of(
    content: str = "Hello",
    action: Action = "chat",
    *,
    context: str = "",
    user: str = "anna",
    seconds: float = 25.0,
    fresh: bool = False,
) -> Ask:
    now = time.monotonic()
    request = Request(action=action, content=content, context=context, user_id=user)
    return Ask(request=request, deadline=now + seconds, arrived=now, request_id="r", door="test", fresh=fresh)


def code(outcome: Outcome) -> str:
    return outcome.reply.code or "ok"


async def test_a_request_gets_its_answer() -> None:
    """The ordinary case."""
    engine = engine_over(HeldUpstream(text="Good morning."))
    outcome = await engine.answer(ask_of())
    assert outcome.reply.data == "Good morning."
    assert engine.calls.idle


async def test_the_provider_knows_the_user_by_a_pseudonym_only() -> None:
    """What goes out names nobody."""
    upstream = HeldUpstream()
    await engine_over(upstream).answer(ask_of(user="anna"))
    assert upstream.calls[0].user == "hash of anna"


async def test_html_safe_answers() -> None:
    """HTML_SAFE parts every `<` from what follows."""
    engine = engine_over(HeldUpstream(text="a<b and <script>"), html_safe=True)
    assert (await engine.answer(ask_of())).reply.data == "a< b and < script>"


@pytest.mark.parametrize("failure", [UpstreamError("Odd."), UpstreamAuth()], ids=lambda failure: failure.code)
async def test_a_providers_failure_is_a_reply(failure: UpstreamError) -> None:
    """The verb never raises for a request that cannot be answered."""
    upstream = HeldUpstream()
    upstream.failure = failure
    outcome = await engine_over(upstream).answer(ask_of())
    assert (code(outcome), outcome.reply.error) == (failure.code, str(failure))


async def test_a_fault_of_ours_is_a_reply_without_its_words() -> None:
    """An exception nobody thought of says nothing internal to the caller."""
    upstream = HeldUpstream()
    upstream.failure = ValueError("secret words of a pupil")
    outcome = await engine_over(upstream).answer(ask_of())
    assert code(outcome) == "internal"
    assert "pupil" not in str(outcome.reply)


async def test_the_deadline_ends_a_silent_provider() -> None:
    """The caller hears in time, and the provider's call is ended."""
    upstream = HeldUpstream(held=True)
    engine = engine_over(upstream)
    outcome = await engine.answer(ask_of(seconds=0.05))
    assert code(outcome) == "timeout"
    assert upstream.left.is_set()
    assert engine.calls.idle


async def test_a_caller_who_leaves_ends_his_call() -> None:
    """Cancelling the request's task cancels the provider's call and frees the slot."""
    upstream = HeldUpstream(held=True)
    engine = engine_over(upstream)
    task = asyncio.create_task(engine.answer(ask_of()))
    await upstream.reached()
    task.cancel()
    await upstream.left.wait()
    assert (await asyncio.gather(task, return_exceptions=True))[0].__class__ is asyncio.CancelledError
    assert engine.calls.idle


async def test_draining_ends_what_runs_after_the_grace() -> None:
    """A request that is under way when the time to drain is over hears `shutting_down`."""
    upstream = HeldUpstream(held=True)
    engine = engine_over(upstream)
    task = asyncio.create_task(engine.answer(ask_of()))
    await upstream.reached()
    engine.drain(0.02)
    assert code(await task) == "shutting_down"


async def test_draining_lets_what_runs_end() -> None:
    """Within the grace an accepted request gets its answer."""
    upstream = HeldUpstream(held=True)
    engine = engine_over(upstream)
    task = asyncio.create_task(engine.answer(ask_of()))
    await upstream.reached()
    engine.drain(30.0)
    upstream.gate.set()
    assert code(await task) == "ok"


@pytest.mark.parametrize("action", ["summarize", "analyze"])
async def test_identical_requests_are_one_call(action: Action) -> None:
    """Three hundred pupils summarize the same page: the provider is asked once."""
    upstream = HeldUpstream(held=True)
    engine = engine_over(upstream)
    tasks = [asyncio.create_task(engine.answer(ask_of("A page.", action, user=str(n)))) for n in range(300)]
    await upstream.reached()
    upstream.gate.set()
    assert {code(outcome) for outcome in await asyncio.gather(*tasks)} == {"ok"}
    assert len(upstream.calls) == 1


async def test_chats_are_never_shared() -> None:
    """Two pupils with the same question get an answer each."""
    upstream = HeldUpstream()
    engine = engine_over(upstream)
    await asyncio.gather(engine.answer(ask_of("Why?", user="a")), engine.answer(ask_of("Why?", user="b")))
    assert len(upstream.calls) == 2


async def test_a_context_summary_is_shared_by_chats() -> None:
    """Many chats about one long page: its summary is made once."""
    upstream = HeldUpstream(held=True)
    engine = engine_over(upstream, concurrency=20)
    page = "A long page. " * 300
    tasks = [asyncio.create_task(engine.answer(ask_of(str(n), context=page, user=str(n)))) for n in range(10)]
    await upstream.reached()
    upstream.gate.set()
    await asyncio.gather(*tasks)
    assert len(upstream.calls) == 1 + 10


async def test_asking_again_makes_a_new_answer_for_that_user_alone() -> None:
    """Moodle's button "Regenerate" is a new call; other users have the kept answer."""
    upstream = HeldUpstream()
    engine = engine_over(upstream)
    for user, calls in [("anna", 1), ("ben", 1), ("anna", 2), ("cleo", 2), ("cleo", 3)]:
        await engine.answer(ask_of("A page.", "summarize", user=user))
        assert len(upstream.calls) == calls


async def test_no_cache_makes_a_new_answer() -> None:
    """A caller who will not have a kept answer gets a fresh one, which replaces it."""
    upstream = HeldUpstream(text="old")
    engine = engine_over(upstream)
    await engine.answer(ask_of("A page.", "summarize", user="anna"))
    upstream.text = "new"
    assert (await engine.answer(ask_of("A page.", "summarize", user="ben", fresh=True))).reply.data == "new"
    assert (await engine.answer(ask_of("A page.", "summarize", user="cleo"))).reply.data == "new"


async def test_a_joiner_gives_his_place_back() -> None:
    """Who waits for work that is under way takes no place in the queue."""
    upstream = HeldUpstream(held=True)
    engine = engine_over(upstream)
    first = asyncio.create_task(engine.answer(ask_of("A page.", "summarize")))
    await upstream.reached()

    async def join() -> Outcome:
        with engine.admission.admit(10) as place:
            ask = ask_of("A page.", "summarize", user="ben")
            return await engine.answer(
                Ask(
                    request=ask.request,
                    deadline=ask.deadline,
                    arrived=ask.arrived,
                    request_id="r",
                    door="t",
                    place=place,
                )
            )

    joined = asyncio.create_task(join())
    await settle()
    assert engine.flights.joined == 1
    assert (engine.admission.held, engine.admission.held_bytes) == (0, 10)
    upstream.gate.set()
    assert code(await first) == code(await joined) == "ok"
    assert (engine.admission.held, engine.admission.held_bytes) == (0, 0)


async def test_one_waiters_deadline_fails_no_other() -> None:
    """The first caller's time is over; the second, who joined later, gets the answer."""
    upstream = HeldUpstream(held=True)
    engine = engine_over(upstream)
    first = asyncio.create_task(engine.answer(ask_of("A page.", "summarize", seconds=1.0)))
    await upstream.reached()
    second = asyncio.create_task(engine.answer(ask_of("A page.", "summarize", user="ben")))
    assert code(await first) == "timeout"
    upstream.gate.set()
    assert code(await second) == "ok"
    assert len(upstream.calls) == 1


async def test_what_cannot_be_done_in_time_is_refused_at_once() -> None:
    """With a measured second a call and a full gate, a caller with little time hears it now, and when to come back."""
    upstream = HeldUpstream(held=True)
    engine = engine_over(upstream, concurrency=1)
    engine.calls.limit.succeeded(1.0, 0, saturated=False)
    tasks = [asyncio.create_task(engine.answer(ask_of(str(n), user=str(n)))) for n in range(5)]
    await upstream.reached()
    outcome = await engine.answer(ask_of(seconds=3.0))
    assert code(outcome) == "overloaded"
    assert outcome.retry_after is not None
    assert 2.0 < outcome.retry_after < 4.0
    upstream.gate.set()
    await asyncio.gather(*tasks)


async def test_a_provider_that_is_down_is_not_asked() -> None:
    """Callers hear the code of what opened the breaker, without a call."""
    upstream = HeldUpstream()
    upstream.failure = UpstreamAuth(status=401)
    engine = engine_over(upstream)
    codes = [code(await engine.answer(ask_of())) for _ in range(10)]
    assert codes == ["upstream_auth"] * 10
    assert len(upstream.calls) == 3


async def test_a_call_from_before_the_outage_keeps_no_probe_waiting() -> None:
    """It may go on for minutes; meanwhile one newcomer at a time may show that the provider is back."""
    upstream = HeldUpstream(held=True)
    engine = engine_over(upstream)
    limit = engine.calls.limit
    old = asyncio.create_task(engine.answer(ask_of("old")))
    await upstream.reached()
    for _ in range(DOWN[UpstreamUnreachable]):
        limit.failed(UpstreamUnreachable(), limit.generation, running=1)
    engine.calls.follow()
    assert code(await engine.answer(ask_of())) == "upstream_unreachable"
    limit._probe_at = 0.0
    probe = asyncio.create_task(engine.answer(ask_of("probe", user="ben")))
    async with asyncio.timeout(20.0):
        await upstream.reached(2)
    assert code(await engine.answer(ask_of(user="cleo"))) == "upstream_unreachable"
    assert engine.calls.gate.slots == 2
    upstream.gate.set()
    assert [code(await old), code(await probe)] == ["ok", "ok"]
    assert (limit.breaker, engine.calls.gate.slots) == ("closed", 4)


async def test_draining_waits_for_joiners_too() -> None:
    """Who joined work under way holds no place, and is waited for all the same."""
    upstream = HeldUpstream(held=True)
    engine = engine_over(upstream)
    leader = asyncio.create_task(engine.answer(ask_of("A page.", "summarize")))
    await upstream.reached()
    joiner = asyncio.create_task(engine.answer(ask_of("A page.", "summarize", user="ben")))
    await settle()
    engine.drain(30.0)
    leader.cancel()
    emptied = asyncio.create_task(engine.emptied())
    await settle()
    assert not emptied.done()
    upstream.gate.set()
    assert code(await joiner) == "ok"
    await emptied


async def test_an_idle_engine_tries_whatever_was_measured() -> None:
    """One slow hour must not refuse callers for ever: with nothing under way a try is made."""
    engine = engine_over(HeldUpstream())
    engine.calls.limit.succeeded(600.0, 0, saturated=False)
    for _ in range(3):
        assert code(await engine.answer(ask_of(context="A long page. " * 300))) == "ok"


async def test_a_kept_context_gives_nobody_a_better_turn() -> None:
    """A chat whose context was summarized for others before waits in line like everybody."""
    upstream = HeldUpstream()
    engine = engine_over(upstream, concurrency=1)
    page = "A long page. " * 300
    await engine.answer(ask_of("first", context=page, user="zoe"))
    upstream.gate.clear()
    order: list[str] = []

    async def ask(name: str, context: str = "") -> None:
        await engine.answer(ask_of(name, context=context, user=name))
        order.append(name)

    tasks = [asyncio.create_task(ask(name)) for name in ("a", "b", "c")]
    await settle()
    tasks += [asyncio.create_task(ask(name, page)) for name in ("x", "y")]
    await settle()
    upstream.gate.set()
    await asyncio.gather(*tasks)
    assert order == ["a", "b", "c", "x", "y"]


async def test_a_pause_longer_than_the_deadline_is_the_providers_limit() -> None:
    """Callers hear `rate_limited` and for how long, not that too many people are asking."""
    engine = engine_over(HeldUpstream())
    engine.calls.limit.failed(RateLimited(scope="minute", retry_after=40.0), 0, running=0)
    outcome = await engine.answer(ask_of(seconds=25.0))
    assert code(outcome) == "rate_limited"
    assert outcome.retry_after == pytest.approx(40.0, abs=1.0)


async def test_who_waits_when_a_long_pause_begins_hears_it_at_once() -> None:
    """A late no costs the caller twice: he who cannot be served before his deadline is not kept until then."""
    upstream = HeldUpstream(held=True)
    upstream.failure = RateLimited(scope="minute", retry_after=40.0, retryable=True)
    engine = engine_over(upstream, concurrency=1)
    asked = [asyncio.create_task(engine.answer(ask_of(str(n), user=str(n)))) for n in range(3)]
    long = asyncio.create_task(engine.answer(ask_of(seconds=50.0)))
    await upstream.reached()
    upstream.gate.set()
    async with asyncio.timeout(20.0):
        outcomes = await asyncio.gather(*asked)
    assert [code(outcome) for outcome in outcomes] == ["rate_limited"] * 3
    assert [outcome.retry_after for outcome in outcomes] == [pytest.approx(40.0, abs=1.0)] * 3
    assert (len(upstream.calls), engine.calls.gate.waiting) == (1, 1)
    long.cancel()
    await asyncio.wait((long,))


async def test_a_further_call_does_not_wait_for_what_comes_too_late() -> None:
    """The context's summary met the limit; the chat after it hears so too, and not at its deadline."""
    upstream = HeldUpstream()
    upstream.failure = RateLimited(scope="minute", retry_after=40.0, retryable=True)
    engine = engine_over(upstream)
    async with asyncio.timeout(20.0):
        outcome = await engine.answer(ask_of(context="A long page. " * 300))
    assert code(outcome) == "rate_limited"
    assert len(upstream.calls) == 1


async def test_a_full_house_tells_how_long_its_work_will_take() -> None:
    """Retry-After comes from what is held and the measured rate of answers; where all came at once, of all slots."""
    engine = engine_over(HeldUpstream())
    places = [engine.admission.admit() for _ in range(8)]
    refusal = Overloaded()
    engine.refused(refusal, door="ai", request_id="r")
    assert refusal.retry_after == 8.0
    engine.calls.limit.succeeded(0.5, 0, saturated=False)
    refusal = Overloaded()
    engine.refused(refusal, door="ai", request_id="r")
    assert refusal.retry_after == 8 * 0.5 / 4
    for place in places:
        engine.admission.release(place)
