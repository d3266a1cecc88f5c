"""Promises of the deadline on POST /ai, and of callers who leave before their answer."""

import asyncio

import pytest

from tests.support.ai_requests import STRICT, check_envelope
from tests.support.held_provider import HeldUpstream
from tests.support.http_sidecar import AT_ONCE, CHAT, PATIENCE, head, post, running


async def test_a_caller_who_leaves_frees_slot_and_place() -> None:
    """Nobody pays for an answer that nobody reads."""
    upstream = HeldUpstream(held=True)
    async with running(upstream, timings=AT_ONCE) as sidecar:
        async with await sidecar.call() as caller:
            await caller.send(post())
            await upstream.reached()
        async with asyncio.timeout(PATIENCE):
            await upstream.left.wait()
            await sidecar.service.admission.emptied()
        assert (upstream.running, sidecar.service.admission.held_bytes) == (0, 0)


async def test_a_caller_who_leaves_while_sending_frees_the_place() -> None:
    """Half a body holds nothing once its sender is gone."""
    async with running() as sidecar:
        async with await sidecar.call() as caller:
            await caller.send(head("Content-Type: application/json", "Content-Length: 99", "Expect: 100-continue"))
            assert (await caller.receive()).status == 100
            assert sidecar.service.admission.held == 1
        async with asyncio.timeout(PATIENCE):
            await sidecar.service.admission.emptied()


async def test_identical_summaries_give_their_places_back_once() -> None:
    """However work is shared, what is held ends at nothing."""
    upstream = HeldUpstream(held=True)
    body = b'{"action": "summarize", "content": "A text about fractions."}'
    async with running(upstream) as sidecar, await sidecar.call() as first, await sidecar.call() as second:
        await first.send(post(body))
        await upstream.reached()
        await second.send(post(body))
        while not sidecar.service.kernel.flights.joined:
            await sidecar.fetch(head(path="/health", method="GET"))
        upstream.gate.set()
        assert (await first.receive()).json["success"]
        assert (await second.receive()).json["success"]
        assert (sidecar.service.admission.held, sidecar.service.admission.held_bytes) == (0, 0)


@STRICT
async def test_the_deadline_is_answered(strict: bool) -> None:
    """A provider that says nothing costs the caller REQUEST_TIMEOUT and no more."""
    async with running(HeldUpstream(held=True), REQUEST_TIMEOUT="0.1", STRICT_STATUS=str(strict)) as sidecar:
        answer = await sidecar.fetch(post())
    assert (answer.status, answer.json["code"]) == (504 if strict else 200, "timeout")


async def test_a_request_that_comes_after_its_deadline_is_a_timeout() -> None:
    """Its time counts from accept; a queue with room is not blamed."""
    async with running(HeldUpstream(held=True), REQUEST_TIMEOUT="0.1") as sidecar, await sidecar.call() as late:
        assert (await sidecar.fetch(post())).json[
            "code"
        ] == "timeout"  # accepted later, so the other's time is over too
        await late.send(post())
        assert (await late.receive()).json["code"] == "timeout"


@pytest.mark.parametrize(
    ("path", "header"), [("/ai", "X-Request-Timeout: 0.1"), ("/ai?deadline=0.1", "X-Request-Timeout: 60")]
)
async def test_a_caller_may_shorten_the_deadline(path: str, header: str) -> None:
    """Who cannot wait as long says so, in a header or in the address."""
    async with running(HeldUpstream(held=True)) as sidecar:
        assert (await sidecar.fetch(post(CHAT, header, path=path))).json["code"] == "timeout"


@pytest.mark.parametrize("asked", ["600", "0", "-1", "soon", "nan", "inf", "1e9", ""])
async def test_a_caller_cannot_lengthen_the_deadline(asked: str) -> None:
    """More than REQUEST_TIMEOUT is not to be had, and nonsense is ignored."""
    async with running(HeldUpstream(held=True), REQUEST_TIMEOUT="0.1") as sidecar:
        request = post(CHAT, f"X-Request-Timeout: {asked}", path=f"/ai?deadline={asked}")
        assert (await sidecar.fetch(request)).json["code"] == "timeout"


@STRICT
async def test_a_body_that_does_not_come_in_time_is_408(strict: bool) -> None:
    """A slow sender is told so at the deadline, and its place is free."""
    async with running(REQUEST_TIMEOUT="0.1", STRICT_STATUS=str(strict)) as sidecar, await sidecar.call() as caller:
        await caller.send(head("Content-Type: application/json", "Content-Length: 99") + b'{"action":')
        answer = await caller.receive()
        assert await caller.rest() == b""
        assert sidecar.service.admission.held == 0
    check_envelope(answer)
    assert (answer.status, answer.json["code"]) == (408, "request_timeout")


async def test_bad_chunks_are_refused_at_once() -> None:
    """A body that nobody can parse any more is not waited for."""
    async with running() as sidecar, await sidecar.call() as caller:
        await caller.send(head("Content-Type: application/json", "Transfer-Encoding: chunked", "Expect: 100-continue"))
        assert (await caller.receive()).status == 100
        await caller.send(b"no chunk\r\n")
        answer = await caller.receive()
        assert await caller.rest() == b""
        assert sidecar.service.admission.held == 0
    check_envelope(answer)
    assert (answer.status, answer.json["code"]) == (400, "bad_request")
