"""Promises of several serving processes to callers: they are one service, with one queue, one limit and one cache."""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from sidecar.core.errors import RateLimited, UpstreamAuth
from sidecar.core.ports import Call, Usage
from tests.support.held_provider import HeldUpstream
from tests.support.http_sidecar import Answer, Sidecar, head, post
from tests.support.serving_pair import Several, several, until

V1 = "/v1/chat/completions"


async def act(sidecar: Sidecar, content: str, user: str = "", action: str = "chat") -> Any:
    body = {"action": action, "content": content, "user_id": user}
    return (await sidecar.fetch(post(json.dumps(body).encode(), "Connection: close"))).json


async def complete(sidecar: Sidecar, text: str, user: str = "", path: str = V1, **more: Any) -> Answer:
    body = {"messages": [{"role": "user", "content": text}], "user": user} | more
    return await sidecar.fetch(post(json.dumps(body).encode(), "Connection: close", path=path))


async def get(sidecar: Sidecar, path: str) -> Any:
    return (await sidecar.fetch(head("Connection: close", path=path, method="GET"))).json


async def until_waiting(service: Several, calls: int) -> None:
    """Return once so many calls wait for a slot."""
    await until(lambda: service.service.kernel.calls.gate.waiting >= calls)


async def test_callers_of_one_page_at_both_processes_cost_one_call() -> None:
    """Single flight holds over both, and so does the cache afterwards; places are given back early."""
    upstream = HeldUpstream(held=True)
    async with several(upstream) as service:
        one, two = service.sidecars
        callers = [
            asyncio.create_task(act(end, "A page", f"u{n}", "summarize")) for n in range(10) for end in (one, two)
        ]
        await upstream.reached()
        await until(lambda: service.service.kernel.flights.joined == 19)
        await until(lambda: one.service.admission.held + two.service.admission.held == 1)
        upstream.gate.set()
        assert all(reply["success"] for reply in await asyncio.gather(*callers))
        assert (await act(two, "A page", "late", "summarize"))["success"]
        assert len(upstream.calls) == 1


async def test_pages_of_the_openai_route_are_shared_too() -> None:
    """With an action that may be shared, one call serves both processes, each response as its route shapes it."""
    upstream = HeldUpstream(text="if a<b")
    async with several(upstream) as service:
        one, two = service.sidecars
        path = f"{V1}?action=summarize"
        answers = [await complete(end, "A page", f"u{n}", path) for n, end in enumerate((one, two, one))]
        assert {answer.json["choices"][0]["message"]["content"] for answer in answers} == {"if a<b"}
        assert len(upstream.calls) == 1


async def test_calls_of_both_processes_have_one_ceiling() -> None:
    """CONCURRENCY holds over both."""
    upstream = HeldUpstream(held=True)
    async with several(upstream, CONCURRENCY="3") as service:
        callers = [asyncio.create_task(act(service.sidecars[n % 2], f"Page {n}", f"u{n}")) for n in range(12)]
        await upstream.reached(3)
        await until_waiting(service, 9)
        assert upstream.running == 3
        upstream.gate.set()
        assert all(reply["success"] for reply in await asyncio.gather(*callers))


async def test_users_take_turns_over_both_processes() -> None:
    """One user's twenty calls at one process do not go before another user's at the other."""
    upstream = HeldUpstream(held=True)
    async with several(upstream, CONCURRENCY="1") as service:
        one, two = service.sidecars
        many = [asyncio.create_task(act(one, f"Mine {n}", "many")) for n in range(20)]
        await until_waiting(service, 19)
        other = asyncio.create_task(act(two, "One question", "other"))
        await until_waiting(service, 20)
        upstream.gate.set()
        assert all(reply["success"] for reply in await asyncio.gather(*many, other))
        order = [call.messages[-1]["content"] for call in upstream.calls]
        assert next(place for place, text in enumerate(order) if "One question" in text) <= 2


async def test_a_refused_call_returns_to_the_queue_whichever_process_made_it() -> None:
    """What one process learns of the provider's limit holds for both."""
    upstream = HeldUpstream()
    upstream.failure = RateLimited(scope="capacity", retryable=True)
    async with several(upstream) as service:
        one, two = service.sidecars
        caller = asyncio.create_task(act(one, "Refused at first"))
        await upstream.reached(2)
        assert service.service.kernel.calls.limit.found < 64
        upstream.failure = None
        assert (await caller)["success"]
        assert (await act(two, "Then another"))["success"]


async def test_a_breaker_opened_by_one_process_refuses_at_the_other() -> None:
    """A refused key is known everywhere, in the same words."""
    upstream = HeldUpstream()
    upstream.failure = UpstreamAuth("The AI provider refused the key; the administrator must check OPENAI_API_KEY.")
    async with several(upstream) as service:
        one, two = service.sidecars
        refused = [await act(one, f"Question {n}") for n in range(3)]
        calls = len(upstream.calls)
        last = await act(two, "Another")
        assert (last["code"], last["error"]) == (refused[0]["code"], refused[0]["error"])
        assert len(upstream.calls) == calls
        await asyncio.sleep(0.11)  # the time in which the parent publishes
        assert (await get(two, "/ready"))["checks"]["provider"] == "down"


async def test_the_queue_has_one_bound() -> None:
    """QUEUE_SIZE is that of the service: callers beyond it are refused at both, and every place comes back."""
    upstream = HeldUpstream(held=True)
    async with several(upstream, QUEUE_SIZE="4") as service:
        held = [asyncio.create_task(act(service.sidecars[n % 2], f"Page {n}")) for n in range(4)]
        await upstream.reached(4)
        refused = [await act(end, "More") for end in service.sidecars]
        assert {reply["code"] for reply in refused} == {"overloaded"}
        status = await get(service.sidecars[0], "/status")
        assert status["places"] == {"now": 4, "most": 4}
        upstream.gate.set()
        assert all(reply["success"] for reply in await asyncio.gather(*held))
        assert (await get(service.sidecars[1], "/status"))["places"]["now"] == 0


async def test_limits_of_users_hold_over_both_processes(tmp_path: Path) -> None:
    """Two at once are two at once, and tokens of the day are counted together."""
    file = tmp_path / "tokens.toml"
    file.write_text("[user]\nat_once = 2\n")
    upstream = HeldUpstream(held=True)
    async with several(upstream, TOKENS_FILE=str(file), STATE_DIR=str(tmp_path)) as service:
        one, two = service.sidecars
        held = [asyncio.create_task(complete(end, "Held", "one")) for end in (one, two)]
        await upstream.reached(2)
        assert [(await complete(end, "More", "one")).status for end in (one, two)] == [429, 429]
        other = asyncio.create_task(complete(one, "Mine", "another"))
        await upstream.reached(3)
        upstream.gate.set()
        assert [(await answer).status for answer in (*held, other)] == [200] * 3


async def test_the_pages_of_operators_show_the_whole() -> None:
    """/status and /metrics count the requests of both, refused ones too, from whichever process they come."""
    async with several() as service:
        one, two = service.sidecars
        for number in range(6):
            assert (await act(service.sidecars[number % 2], f"Page {number}"))["success"]
        assert (await one.fetch(post(b"{}", "Connection: close"))).json["code"] == "invalid_request"
        for end in (one, two):
            status = await get(end, "/status")
            assert status["answers"] == {"ok": 6, "invalid_request": 1}
            assert status["processes"]["configured"] == 2
            odd = ("Connection: close", "Accept: caf\xe9")
            page = (await end.fetch(head(*odd, path="/metrics", method="GET"))).body.decode()
            assert '{action="chat",code="ok",route="ai"} 6.0' in page


async def test_a_caller_who_leaves_ends_the_call_and_frees_the_slot() -> None:
    """The provider's call is cancelled in its process, and the parent holds nothing for it any more."""
    upstream = HeldUpstream(held=True)
    async with several(upstream) as service:
        caller = await service.sidecars[0].call()
        await caller.send(post())
        await upstream.reached()
        await caller.leave()
        await upstream.left.wait()
        await until(lambda: not service.service.kernel.calls.gate.running)
        assert upstream.running == 0


async def test_shared_work_goes_on_in_another_process_when_its_own_is_gone() -> None:
    """The callers of the process that is gone lose, the other's have their answer."""
    upstream = HeldUpstream(held=True)
    for path in ("/ai", f"{V1}?action=summarize"):
        async with several(upstream) as service:
            one, two = service.sidecars

            async def caller(end: Sidecar, path: str = path) -> Any:
                if path == "/ai":
                    return (await act(end, "A page", action="summarize"))["data"]
                return (await complete(end, "A page", path=path)).json["choices"][0]["message"]["content"]

            upstream.gate.clear()
            before = len(upstream.calls)
            first = asyncio.create_task(caller(one))
            await upstream.reached(before + 1)
            second = asyncio.create_task(caller(two))
            flights = service.service.kernel.flights
            await until(lambda flights=flights: flights.joined)  # type: ignore[misc]
            service.links[0].close()
            await upstream.reached(before + 2)
            upstream.gate.set()
            assert await second == "An answer."
            assert (await asyncio.gather(first, return_exceptions=True))[0] != "An answer."


async def test_shared_work_goes_on_when_the_caller_who_began_it_leaves() -> None:
    """Its call still waits for a slot then; the other process's caller has the answer all the same."""
    upstream = HeldUpstream(held=True)
    async with several(upstream, CONCURRENCY="1") as service:
        one, two = service.sidecars
        busy = asyncio.create_task(act(one, "Holds the slot"))
        await upstream.reached()
        first = await one.call()
        body = b'{"messages": [{"role": "user", "content": "A page"}]}'
        await first.send(post(body, path=f"{V1}?action=summarize"))
        await until_waiting(service, 1)
        second = asyncio.create_task(complete(two, "A page", path=f"{V1}?action=summarize"))
        flights = service.service.kernel.flights
        await until(lambda: flights.joined)
        await first.leave()
        await until(lambda: one.service.admission.held == 1)
        upstream.gate.set()
        assert (await second).json["choices"][0]["message"]["content"] == "An answer."
        assert (await busy)["success"]


class Endless(HeldUpstream):
    """A provider whose streams never end."""

    async def stream(self, call: Call, *, deadline: float, usage: Usage | None = None) -> AsyncGenerator[bytes, None]:
        self.running += 1
        try:
            while True:
                yield b'{"choices": [{"index": 0, "delta": {"content": "%s"}}]}' % (b"word " * 10_000)
        finally:
            self.running -= 1


async def test_a_stream_that_nobody_reads_is_ended_in_all_processes() -> None:
    """The slot is freed, the provider's call ends, and the connection of the caller is cut off."""
    upstream = Endless()
    async with several(upstream, silent_seconds=0.2) as service:
        one = service.sidecars[0]
        caller = await one.call()
        await caller.send(post(b'{"stream": true, "messages": [{"role": "user", "content": "x"}]}', path=V1))
        assert (await caller.reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 200")
        await until(lambda: upstream.running)
        await until(lambda: not upstream.running and not one.service.admission.held)
        assert service.service.kernel.calls.gate.running == 0
        async with asyncio.timeout(10):
            with contextlib.suppress(ConnectionError):
                while await caller.reader.read(2**16):
                    pass
        await caller.leave()


async def test_a_stream_ends_as_its_provider_ended_it() -> None:
    """Every event arrives, and the last one closes the stream."""
    async with several(HeldUpstream()) as service, await service.sidecars[1].call() as caller:
        body = b'{"stream": true, "messages": [{"role": "user", "content": "x"}]}'
        await caller.send(post(body, "Connection: close", path=V1))
        stream = await caller.rest()
        assert stream.count(b"data: ") == 2
        assert b"data: [DONE]" in stream


async def test_the_dashboard_of_a_process_shows_the_service() -> None:
    """Its events are those of the parent; a page that closes is forgotten there too."""
    async with several() as service, await service.sidecars[1].call() as caller:
        await caller.send(head(path="/dashboard/events", method="GET"))
        event = await caller.reader.readuntil(b"event: now")
        assert event.startswith(b"HTTP/1.1 200")
        assert b"event: past" in event
