"""The engine's verb: a reply to every request, work shared where it may be, and turns that are fair."""

import asyncio

import pytest

from sidecar.core.contract import Action
from sidecar.core.errors import UpstreamAuth, UpstreamError
from sidecar.engine.engine import Outcome
from sidecar.engine.formats.formatter import Formatter
from sidecar.engine.request import ActionRequest
from tests.support.engines import code, request_of, service_over
from tests.support.held_provider import HeldUpstream
from tests.support.scripted_calls import settle
from tests.support.virtual_time import in_virtual_time


async def test_a_request_gets_its_answer() -> None:
    """The ordinary case."""
    service = service_over(HeldUpstream(text="Good morning."))
    outcome = await service.engine.answer(request_of())
    assert outcome.reply.data == "Good morning."
    assert service.kernel.calls.idle


async def test_the_provider_knows_the_user_by_a_pseudonym_only() -> None:
    """What goes out names nobody."""
    upstream = HeldUpstream()
    await service_over(upstream).engine.answer(request_of(user="anna"))
    assert upstream.calls[0].user == "hash of anna"


async def test_html_safe_answers() -> None:
    """HTML_SAFE parts every `<` from what follows."""
    service = service_over(HeldUpstream(text="a<b and <script>"), formatter=Formatter(parted=True))
    assert (await service.engine.answer(request_of())).reply.data == "a< b and < script>"


@pytest.mark.parametrize("failure", [UpstreamError("Odd."), UpstreamAuth()], ids=lambda failure: failure.code)
async def test_a_providers_failure_is_a_reply(failure: UpstreamError) -> None:
    """The verb never raises for a request that cannot be answered."""
    upstream = HeldUpstream()
    upstream.failure = failure
    outcome = await service_over(upstream).engine.answer(request_of())
    assert (code(outcome), outcome.reply.error) == (failure.code, str(failure))


async def test_a_fault_of_ours_is_a_reply_without_its_words() -> None:
    """An exception nobody thought of says nothing internal to the caller."""
    upstream = HeldUpstream()
    upstream.failure = ValueError("secret words of a pupil")
    outcome = await service_over(upstream).engine.answer(request_of())
    assert code(outcome) == "internal"
    assert "pupil" not in str(outcome.reply)


@pytest.mark.parametrize("action", ["summarize", "analyze"])
async def test_identical_requests_are_one_call(action: Action) -> None:
    """Three hundred pupils summarize the same page: the provider is asked once."""
    upstream = HeldUpstream(held=True)
    service = service_over(upstream)
    tasks = [asyncio.create_task(service.engine.answer(request_of("A page.", action, user=str(n)))) for n in range(300)]
    await upstream.reached()
    upstream.gate.set()
    assert {code(outcome) for outcome in await asyncio.gather(*tasks)} == {"ok"}
    assert len(upstream.calls) == 1


async def test_chats_are_never_shared() -> None:
    """Two pupils with the same question get an answer each."""
    upstream = HeldUpstream()
    service = service_over(upstream)
    await asyncio.gather(
        service.engine.answer(request_of("Why?", user="a")), service.engine.answer(request_of("Why?", user="b"))
    )
    assert len(upstream.calls) == 2


async def test_a_context_summary_is_shared_by_chats() -> None:
    """Many chats about one long page: its summary is made once."""
    upstream = HeldUpstream(held=True)
    service = service_over(upstream, concurrency=20)
    page = "A long page. " * 300
    tasks = [
        asyncio.create_task(service.engine.answer(request_of(str(n), context=page, user=str(n)))) for n in range(10)
    ]
    await upstream.reached()
    upstream.gate.set()
    await asyncio.gather(*tasks)
    assert len(upstream.calls) == 1 + 10


async def test_a_repeated_request_makes_a_new_answer_for_that_user_alone() -> None:
    """Moodle's button "Regenerate" is a new call; other users have the kept answer."""
    upstream = HeldUpstream()
    service = service_over(upstream)
    for user, calls in [("anna", 1), ("ben", 1), ("anna", 2), ("cleo", 2), ("cleo", 3)]:
        await service.engine.answer(request_of("A page.", "summarize", user=user))
        assert len(upstream.calls) == calls


async def test_no_cache_makes_a_new_answer() -> None:
    """A caller who will not have a kept answer gets a fresh one, which replaces it."""
    upstream = HeldUpstream(text="old")
    service = service_over(upstream)
    await service.engine.answer(request_of("A page.", "summarize", user="anna"))
    upstream.text = "new"
    assert (await service.engine.answer(request_of("A page.", "summarize", user="ben", fresh=True))).reply.data == "new"
    assert (await service.engine.answer(request_of("A page.", "summarize", user="cleo"))).reply.data == "new"


async def test_a_joiner_gives_the_place_back() -> None:
    """Who waits for work that is under way takes no place in the queue."""
    upstream = HeldUpstream(held=True)
    service = service_over(upstream)
    first = asyncio.create_task(service.engine.answer(request_of("A page.", "summarize")))
    await upstream.reached()

    async def join() -> Outcome:
        with service.admission.admit(10) as place:
            ask = request_of("A page.", "summarize", user="ben")
            return await service.engine.answer(
                ActionRequest(
                    request=ask.request,
                    deadline=ask.deadline,
                    arrived=ask.arrived,
                    request_id="r",
                    route="t",
                    place=place,
                )
            )

    joined = asyncio.create_task(join())
    await settle()
    assert service.kernel.flights.joined == 1
    assert (service.admission.held, service.admission.held_bytes) == (0, 10)
    upstream.gate.set()
    assert code(await first) == code(await joined) == "ok"
    assert (service.admission.held, service.admission.held_bytes) == (0, 0)


@in_virtual_time
async def test_one_waiters_deadline_fails_no_other() -> None:
    """The first caller's time is over; the second, who joined later, gets the answer."""
    upstream = HeldUpstream(held=True)
    service = service_over(upstream)
    first = asyncio.create_task(service.engine.answer(request_of("A page.", "summarize", seconds=1.0)))
    await upstream.reached()
    second = asyncio.create_task(service.engine.answer(request_of("A page.", "summarize", user="ben")))
    assert code(await first) == "timeout"
    upstream.gate.set()
    assert code(await second) == "ok"
    assert len(upstream.calls) == 1


async def test_a_cached_context_gives_nobody_a_better_turn() -> None:
    """A chat whose context was summarized for others before waits in line like everybody."""
    upstream = HeldUpstream()
    service = service_over(upstream, concurrency=1)
    page = "A long page. " * 300
    await service.engine.answer(request_of("first", context=page, user="zoe"))
    upstream.gate.clear()
    order: list[str] = []

    async def ask(name: str, context: str = "") -> None:
        await service.engine.answer(request_of(name, context=context, user=name))
        order.append(name)

    tasks = [asyncio.create_task(ask(name)) for name in ("a", "b", "c")]
    await settle()
    tasks += [asyncio.create_task(ask(name, page)) for name in ("x", "y")]
    await settle()
    upstream.gate.set()
    await asyncio.gather(*tasks)
    assert order == ["a", "b", "c", "x", "y"]
