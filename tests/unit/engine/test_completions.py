"""The engine's second verb: raw completions whole, shared where that was allowed, fair, in time."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from sidecar.core.errors import EmptyResponse, SidecarError, UpstreamAuth, UpstreamError
from sidecar.core.off_loop import THREAD_BYTES
from sidecar.core.ports import Call, Completion
from sidecar.engine.request import CompletionRequest
from sidecar.engine.service import Service
from sidecar.service import service_of
from tests.support.engines import measured
from tests.support.held_provider import HeldUpstream
from tests.support.http_sidecar import settings_of
from tests.support.scripted_calls import settle
from tests.support.virtual_time import in_virtual_time


def over(upstream: HeldUpstream, **named: str) -> Service:
    return service_of(settings_of(**named), upstream, clock=asyncio.get_running_loop().time)


def asked(content: str = "Why?", *, user: str = "anna", seconds: float = 25.0, **more: Any) -> CompletionRequest:
    now = asyncio.get_running_loop().time()
    call = Call(messages=[{"role": "user", "content": content}], max_tokens=7, extra=more.pop("extra", {}))
    return CompletionRequest(
        call=call, user_id=user, action="t", deadline=now + seconds, arrived=now, request_id="r", route="t", **more
    )


def text(completion: Completion) -> bytes:
    return completion.text.encode()


def code(answer: bytes | SidecarError) -> str:
    return answer.code if isinstance(answer, SidecarError) else "ok"


@in_virtual_time
async def test_three_hundred_who_may_share_are_one_call() -> None:
    """Bodies that differ in their user alone; a caller that joined has given its place back."""
    upstream = HeldUpstream(text="Já, “ja”.", held=True)
    service = over(upstream)
    shapes: list[Completion] = []

    def shape(completion: Completion) -> bytes:
        shapes.append(completion)
        return text(completion)

    tasks = [
        asyncio.create_task(service.completions.answer(asked("A page.", user=str(n), shared=True), shape))
        for n in range(300)
    ]
    await upstream.reached()
    await settle()
    upstream.gate.set()
    assert set(await asyncio.gather(*tasks)) == {"Já, “ja”.".encode()}
    assert (len(upstream.calls), len(shapes)) == (1, 1)
    assert service.log.codes == {"ok": 300}


@pytest.mark.parametrize(
    "other",
    [
        lambda: asked("Another page.", user="ben", shared=True),
        lambda: asked("A page.", user="ben", shared=True, extra={"temperature": 0}),
        lambda: asked("A page.", user="ben", shared=False),
    ],
    ids=["text", "field", "not shared"],
)
@in_virtual_time
async def test_whatever_else_differs_is_another_call(other: Callable[[], CompletionRequest]) -> None:
    """Everything of a body but its user determines the answer."""
    upstream = HeldUpstream()
    service = over(upstream)
    await service.completions.answer(asked("A page.", shared=True), text)
    await service.completions.answer(other(), text)
    assert len(upstream.calls) == 2


@in_virtual_time
async def test_the_order_of_fields_is_no_difference() -> None:
    """Two Moodles may write the same request differently."""
    upstream = HeldUpstream()
    service = over(upstream)
    await service.completions.answer(asked(shared=True, extra={"a": 1, "b": 2}), text)
    await service.completions.answer(asked(shared=True, extra={"b": 2, "a": 1}, user="ben"), text)
    assert len(upstream.calls) == 1


@in_virtual_time
async def test_a_second_press_is_a_new_call_for_that_user_alone() -> None:
    """Moodle's button "Regenerate"; and no-cache, and a caller who names no user and so cannot be told apart."""
    upstream = HeldUpstream()
    service = over(upstream)
    for user, fresh, calls in [
        *(("anna", False, 1), ("ben", False, 1), ("anna", False, 2), ("cleo", False, 2), ("cleo", False, 3)),
        *(("dora", True, 4), ("", False, 4), ("", False, 4)),
    ]:
        assert code(await service.completions.answer(asked(user=user, shared=True, fresh=fresh), text)) == "ok"
        assert len(upstream.calls) == calls


@in_virtual_time
async def test_a_failure_is_the_answer_and_not_cached() -> None:
    """It is counted and logged as what it is, and the next one asks anew."""
    upstream = HeldUpstream()
    upstream.failure = UpstreamError("It broke.", status=500)
    service = over(upstream)
    assert code(await service.completions.answer(asked(shared=True), text)) == "upstream_error"
    upstream.failure = None
    assert await service.completions.answer(asked(shared=True), text) == b"An answer."
    assert service.log.codes == {"upstream_error": 1, "ok": 1}


@in_virtual_time
async def test_what_cannot_be_shaped_is_its_error() -> None:
    """The shape's error is the request's; one that nobody foresaw is `internal`."""

    def empty(_: Completion) -> bytes:
        raise EmptyResponse

    def broken(_: Completion) -> bytes:
        raise ValueError("canary")

    service = over(HeldUpstream())
    for shared in (True, False):
        assert code(await service.completions.answer(asked(shared=shared), empty)) == "empty_response"
        assert code(await service.completions.answer(asked(shared=shared), broken)) == "internal"


@in_virtual_time
async def test_the_deadline_holds_and_frees_the_slot() -> None:
    """Queueing included; the provider's call ends with it."""
    upstream = HeldUpstream(held=True)
    service = over(upstream)
    assert code(await service.completions.answer(asked(seconds=0.05), text)) == "timeout"
    assert service.kernel.calls.idle
    assert upstream.left.is_set()


@in_virtual_time
async def test_what_cannot_be_done_in_time_is_refused_at_once() -> None:
    """With a measured second a call and one slot, the fourth in line hears so now."""
    upstream = HeldUpstream(held=True)
    service = over(upstream, CONCURRENCY="1")
    measured(service, 1.0)
    tasks = [asyncio.create_task(service.completions.answer(asked(user=str(n)), text)) for n in range(5)]
    await upstream.reached()
    answer = await service.completions.answer(asked(seconds=3.0), text)
    assert isinstance(answer, SidecarError)
    assert (answer.code, answer.retry_after is not None) == ("overloaded", True)
    upstream.gate.set()
    await asyncio.gather(*tasks)


@in_virtual_time
async def test_a_provider_that_is_down_is_not_called() -> None:
    """The code is that of what opened the breaker."""
    upstream = HeldUpstream()
    upstream.failure = UpstreamAuth(status=401)
    service = over(upstream)
    assert [code(await service.completions.answer(asked(), text)) for _ in range(6)] == ["upstream_auth"] * 6
    assert len(upstream.calls) == 3


@in_virtual_time
async def test_users_take_turns_and_the_background_waits() -> None:
    """One slot: the greedy user's backlog, then a newcomer who goes second, and the background last."""
    upstream = HeldUpstream(held=True)
    service = over(upstream, CONCURRENCY="1")
    requests = [
        *(asked("first"), asked("g1", user="greedy"), asked("g2", user="greedy"), asked("g3", user="greedy")),
        *(asked("night", user="cron", background=True), asked("new", user="ben")),
    ]
    tasks = []
    for request in requests:
        tasks.append(asyncio.create_task(service.completions.answer(request, text)))
        await settle()
    upstream.gate.set()
    await asyncio.gather(*tasks)
    order = [call.messages[0]["content"] for call in upstream.calls]
    assert order == ["first", "g1", "new", "g2", "g3", "night"]


@in_virtual_time
async def test_a_caller_who_leaves_frees_the_slot() -> None:
    """And is counted as one who left."""
    upstream = HeldUpstream(held=True)
    service = over(upstream)
    task = asyncio.create_task(service.completions.answer(asked(), text))
    await upstream.reached()
    task.cancel()
    await upstream.left.wait()
    assert isinstance((await asyncio.gather(task, return_exceptions=True))[0], asyncio.CancelledError)
    assert service.log.codes == {"cancelled": 1}


@in_virtual_time
async def test_draining_ends_what_outlasts_the_grace() -> None:
    """With the code that says so."""
    upstream = HeldUpstream(held=True)
    service = over(upstream)
    task = asyncio.create_task(service.completions.answer(asked(), text))
    await upstream.reached()
    service.drain.begin(0.02)
    assert code(await task) == "shutting_down"


@in_virtual_time
async def test_a_shared_body_is_sent_as_it_was_shaped() -> None:
    """A joiner and a later user get the very bytes of the shape, UTF-8 or not, and the cache counts them."""
    upstream = HeldUpstream(held=True)
    service = over(upstream)
    shaped: list[bytes] = []

    def shape(_: Completion) -> bytes:
        shaped.append(b"\xff no text")
        return shaped[-1]

    tasks = [asyncio.create_task(service.completions.answer(asked(user=u, shared=True), shape)) for u in ("a", "b")]
    await upstream.reached()
    await settle()
    upstream.gate.set()
    answers = [*await asyncio.gather(*tasks), await service.completions.answer(asked(user="c", shared=True), shape)]
    assert len(shaped) == 1
    assert all(answer is shaped[0] for answer in answers)
    flights = service.kernel.flights
    assert (flights.joined, flights.hits, len(flights.cache)) == (1, 1, 1)


async def test_a_large_answer_is_written_in_the_thread_beside_the_loop() -> None:
    """Its bytes count, and not its text, which may be a word beside megabytes of probabilities."""
    threads = []

    def shape(completion: Completion) -> bytes:
        threads.append(threading.current_thread())
        return text(completion)

    for size in (THREAD_BYTES - 1, THREAD_BYTES):
        upstream = HeldUpstream(size=size)
        assert code(await over(upstream).completions.answer(asked(), shape)) == "ok"
    assert threads[0] is threading.main_thread()
    assert threads[1] is not threading.main_thread()
