"""Promises of a service whose processes send calls on places of their leases: to callers nothing is different."""

import asyncio
import json
from typing import Any

from sidecar.core.errors import RateLimited, UpstreamAuth, UpstreamUnreachable
from tests.support.held_provider import HeldUpstream
from tests.support.http_sidecar import Sidecar, head, post
from tests.support.serving_pair import Several, several, until

V1 = "/v1/chat/completions"


async def act(sidecar: Sidecar, content: str, user: str = "", action: str = "chat") -> Any:
    body = {"action": action, "content": content, "user_id": user}
    return (await sidecar.fetch(post(json.dumps(body).encode(), "Connection: close"))).json


async def get(sidecar: Sidecar, path: str) -> Any:
    return (await sidecar.fetch(head("Connection: close", path=path, method="GET"))).json


async def lent(service: Several) -> None:
    """Return once every process has places of its own."""
    for sidecar in service.sidecars:
        await act(sidecar, "First of all")
    await until(lambda: all(lease.size for lease in service.leases))


async def taken_back(service: Several) -> None:
    await until(lambda: not any(lease.size for lease in service.leases))


async def test_a_call_on_a_lent_place_needs_no_word_of_the_parent() -> None:
    """Both routes, and a stream: the parent is told, and makes no attempt."""
    upstream = HeldUpstream(text="**An answer.**")
    async with several(upstream, FORMAT="html") as service:
        one = service.sidecars[0]
        usual = await act(one, "A question", "u1")
        await lent(service)
        asked = len(service.ends[0]._pending), service.links[0]._numbers
        assert await act(one, "A question", "u1") == usual
        body = b'{"messages": [{"role": "user", "content": "x"}]}'
        answer = await one.fetch(post(body, "Connection: close", path=V1))
        assert answer.json["choices"][0]["message"]["content"] == "**An answer.**"
        async with await one.call() as caller:
            await caller.send(post(b'{"stream": true,' + body[1:], "Connection: close", path=V1))
            assert (await caller.rest()).endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
        assert (len(service.ends[0]._pending), service.links[0]._numbers) == asked
        status = await get(service.sidecars[1], "/status")
        assert status["answers"] == {"ok": 6}
        assert status["slots"]["running"] == 0


async def test_the_ceiling_holds_over_leases_and_calls_that_ask() -> None:
    """CONCURRENCY calls at once, though every process has places; those that wait have the places that come back."""
    upstream = HeldUpstream(held=True)
    async with several(upstream, CONCURRENCY="6") as service:
        upstream.gate.set()
        await lent(service)
        upstream.gate.clear()
        begun = len(upstream.calls)
        kinds = ("chat", "summarize")
        callers = [
            asyncio.create_task(act(service.sidecars[n % 2], f"Page {n}", f"u{n}", kinds[n % 3 == 0]))
            for n in range(20)
        ]
        await upstream.reached(begun + 6)
        await until(lambda: service.service.kernel.calls.gate.waiting == 14)
        assert upstream.running == 6
        await taken_back(service)
        upstream.gate.set()
        assert all(reply["success"] for reply in await asyncio.gather(*callers))


async def test_a_refusal_on_a_lent_place_teaches_the_limit_and_costs_the_caller_nothing() -> None:
    """The call goes back to the queue, the limit falls as ever, and no process sends without asking any more."""
    upstream = HeldUpstream()
    async with several(upstream) as service:
        await lent(service)
        upstream.failure = RateLimited(scope="capacity", retryable=True)
        begun = len(upstream.calls)
        callers = [asyncio.create_task(act(end, "Refused at first")) for end in service.sidecars]
        await upstream.reached(begun + 3)
        assert service.service.kernel.calls.limit.found < 64
        await taken_back(service)
        upstream.failure = None
        assert all(reply["success"] for reply in await asyncio.gather(*callers))
        refused = service.service.log.statistics.calls
        assert (
            sum(count for outcome, count in refused.items() if outcome.scope == "capacity") == len(upstream.calls) - 4
        )


async def test_a_call_that_did_not_reach_the_provider_is_made_again() -> None:
    """The rule of retries is the parent's; the log counts both attempts."""
    upstream = HeldUpstream()
    async with several(upstream) as service:
        await lent(service)
        upstream.failure = UpstreamUnreachable(retryable=True, unsent=True)
        begun = len(upstream.calls)
        caller = asyncio.create_task(act(service.sidecars[0], "Again"))
        await upstream.reached(begun + 1)
        upstream.failure = None
        assert (await caller)["success"]
        await until(lambda: len(upstream.calls) == begun + 2)


async def test_a_refused_key_on_lent_places_opens_the_breaker_for_all() -> None:
    """In the same words at both processes, and without a further call."""
    upstream = HeldUpstream()
    async with several(upstream) as service:
        await lent(service)
        upstream.failure = UpstreamAuth("The AI provider refused the key; the administrator must check OPENAI_API_KEY.")
        refused = [await act(service.sidecars[0], f"Question {n}") for n in range(3)]
        calls = len(upstream.calls)
        await taken_back(service)
        last = await act(service.sidecars[1], "Another")
        assert (last["code"], last["error"]) == (refused[0]["code"], refused[0]["error"])
        assert len(upstream.calls) == calls


async def test_a_caller_who_leaves_a_lent_place_frees_it() -> None:
    """The provider's call is cancelled, and the request is in the numbers as one whose caller left."""
    upstream = HeldUpstream()
    async with several(upstream) as service:
        await lent(service)
        upstream.gate.clear()
        caller = await service.sidecars[0].call()
        await caller.send(post())
        await until(lambda: upstream.running)
        await until(lambda: service.service.kernel.calls.gate.running == 1)
        await caller.leave()
        await upstream.left.wait()
        await until(lambda: not service.service.kernel.calls.gate.running)
        assert service.leases[0].running == 0
        assert (await get(service.sidecars[1], "/status"))["answers"] == {"ok": 2, "cancelled": 1}


async def test_a_deadline_on_a_lent_place_ends_the_call_and_is_told() -> None:
    """With the sentence and the code that one process has."""
    upstream = HeldUpstream()
    async with several(upstream, REQUEST_TIMEOUT="1") as service:
        await lent(service)
        upstream.gate.clear()
        reply = await act(service.sidecars[0], "Slow")
        assert reply["code"] == "timeout"
        await until(lambda: service.service.log.codes["timeout"] == 1)
        assert service.service.kernel.calls.gate.running == 0


async def test_places_of_a_process_that_is_gone_come_back() -> None:
    """Its calls count as cancelled, and all of CONCURRENCY is the other's."""
    upstream = HeldUpstream()
    async with several(upstream, CONCURRENCY="8") as service:
        await lent(service)
        upstream.gate.clear()
        begun = len(upstream.calls)
        lost = [asyncio.create_task(act(service.sidecars[0], f"Lost {n}")) for n in range(3)]
        await upstream.reached(begun + 3)
        await until(lambda: service.service.kernel.calls.gate.running == 3)
        service.links[0].close()
        gate = service.service.kernel.calls.gate
        await until(lambda: not gate.running and gate.lent == service.leases[1].size)
        held = [asyncio.create_task(act(service.sidecars[1], f"Page {n}")) for n in range(8)]
        await until(lambda: gate.running == 8)
        upstream.gate.set()
        assert all(reply["success"] for reply in await asyncio.gather(*held))
        await asyncio.gather(*lost, return_exceptions=True)
