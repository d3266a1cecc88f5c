"""Promises of two serving processes to callers: they are one service, with one queue, one limit and one cache."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from sidecar.demo.options import Options
from sidecar.demo.provider import Demo
from sidecar.demo.server import serve
from tests.support.http_sidecar import Answer, Caller, post
from tests.support.process_family import connections
from tests.support.server_process import Served, served

# tests/edge/processes has the same promises for ends inside one process; these are for real ones.
pytestmark = pytest.mark.long(alone=True)

V1 = "/v1/chat/completions"


async def chat(server: Served, text: str, user: str = "", **more: Any) -> Answer:
    body = json.dumps({"messages": [{"role": "user", "content": text}], "user": user or text} | more).encode()
    return await server.fetch(post(body, "Connection: close", path=V1))


async def test_300_callers_of_one_page_cost_one_call(server: Served, demo: Demo) -> None:
    """Single flight holds over both processes, and so does the cache afterwards."""
    page = {"action": "summarize", "content": "The same page for all [demo latency=1.5]"}
    replies = await asyncio.gather(*(server.chat(**page, user_id=f"u{n}") for n in range(300)))
    assert [reply for reply in replies if not reply["success"]] == []
    assert (await server.chat(**page, user_id="late"))["success"]
    assert demo.stats.received == 1
    flights = (await server.get("/status")).json["flights"]
    assert (flights["joined"] + flights["hits"], flights["kept"]) == (300, 1)


async def test_new_connections_are_shared_by_both_processes(server: Served) -> None:
    """Connections that stay open, as a web server's, are spread: neither process has far more than the other."""
    callers: list[Caller] = []
    for _ in range(20):  # few at a time: a process that gets no processor for a while is not overtaken by much
        callers += (pair := await asyncio.gather(server.call(), server.call()))
        for caller in pair:
            await caller.send(post())
            assert (await caller.receive()).json["success"]
    counts = [len(ports) for ports in connections(server).values()]
    for caller in callers:
        await caller.leave()
    assert sum(counts) == 40
    assert max(counts) - min(counts) <= 6


async def test_one_limit_is_found_for_both_processes() -> None:
    """120 different pages at a provider of 8 slots: all answered, never more refused than one process has refused."""
    async with serve(Options(slots=8, latency=0.05), keep=1000) as demo:
        words = (f"--base-url={demo.url}/v1", "--api-key=k", "--processes=2")
        async with served(*words) as server:
            replies = await asyncio.gather(*(server.chat(f"Page {n}", user_id=f"u{n}") for n in range(120)))
            assert [reply for reply in replies if not reply["success"]] == []
            status = (await server.get("/status")).json
    assert demo.stats.refused <= 80
    assert status["limit"]["refused"] == demo.stats.refused
    assert status["slots"]["found"] < 24


async def test_users_take_turns_over_both_processes() -> None:
    """One user's 40 calls wait in one queue; a second user's call is not behind them, whichever process has it."""
    async with serve(Options(latency=0.1), keep=1000) as demo:
        words = (f"--base-url={demo.url}/v1", "--api-key=k", "--processes=2", "--concurrency=2")
        async with served(*words) as server:
            many = [asyncio.create_task(chat(server, f"Page {n}", user="many")) for n in range(40)]
            await demo.until(lambda stats: stats.received >= 4)
            answers = await asyncio.gather(*(chat(server, f"One of mine {n}", user=f"few {n}") for n in range(4)))
            waiting = sum(not task.done() for task in many)
            await asyncio.gather(*many)
    assert {answer.status for answer in answers} == {200}
    assert demo.stats.peak_in_flight == 2
    assert waiting >= 20


async def test_the_queue_has_one_bound() -> None:
    """QUEUE_SIZE is that of the service: the callers beyond it are refused, whichever process they reach."""
    async with serve(Options(), keep=1000) as demo:
        words = (f"--base-url={demo.url}/v1", "--api-key=k", "--processes=2", "--queue-size=10")
        async with served(*words, "--request-timeout=30") as server:
            held = [asyncio.create_task(server.chat(f"[demo latency=2] {n}", user_id=f"u{n}")) for n in range(10)]
            await demo.until(lambda stats: stats.in_flight == 10)
            refused = await asyncio.gather(*(server.chat(f"More {n}") for n in range(8)))
            status = (await server.get("/status")).json
            assert {reply["code"] for reply in refused} == {"overloaded"}
            assert status["places"] == {"now": 10, "most": 10}
            assert all(reply["success"] for reply in await asyncio.gather(*held))
            assert (await server.get("/status")).json["places"]["now"] == 0


async def test_limits_of_a_token_hold_over_both_processes(demo: Demo, tmp_path: Path) -> None:
    """Three at once are three at once, though each process has the token's file."""
    file = tmp_path / "tokens.toml"
    file.write_text("[user]\nat_once = 3\n")
    words = (f"--base-url={demo.url}/v1", "--api-key=k", "--processes=2")
    async with served(*words, TOKENS_FILE=str(file), STATE_DIR=str(tmp_path)) as server:
        held = [asyncio.create_task(chat(server, f"[demo latency=1.5] {n}", user="one")) for n in range(12)]
        answers = await asyncio.gather(*held)
        other = await chat(server, "Mine", user="another")
    assert sorted(answer.status for answer in answers) == [200] * 3 + [429] * 9
    assert other.status == 200
    assert demo.stats.received == 4


async def test_the_pages_of_operators_show_the_whole(server: Served) -> None:
    """/status, /metrics and the dashboard count the requests of both processes, from whichever they come."""
    assert all([(await server.chat(f"Page {n}"))["success"] for n in range(12)])
    for _ in range(4):
        status = (await server.get("/status")).json
        assert status["answers"] == {"ok": 12}
        assert status["processes"] == {"serving": 2, "configured": 2, "restarts": 0}
        page = (await server.get("/metrics")).body.decode()
        assert '{action="chat",code="ok",route="ai"} 12.0' in page
    refused = await server.fetch(post(b"{}", "Connection: close"))
    assert refused.json["code"] == "invalid_request"
    assert (await server.get("/status")).json["answers"] == {"ok": 12, "invalid_request": 1}


async def test_answers_are_as_those_of_one_process(server: Served) -> None:
    """Both routes, a stream, an error of the caller and one of the provider."""
    whole = await chat(server, "Hello")
    assert whole.json["choices"][0]["message"]["content"]
    async with await server.call() as caller:
        body = b'{"stream": true, "messages": [{"role": "user", "content": "Hello"}]}'
        await caller.send(post(body, "Connection: close", path=V1))
        stream = await caller.rest()
    assert stream.startswith(b"HTTP/1.1 200")
    assert b"data: [DONE]" in stream
    wrong = await chat(server, "Hello", messages=[])
    assert (wrong.status, wrong.json["error"]["param"]) == (400, "messages")
    failed = await chat(server, "[demo status=400]")
    assert (failed.status, failed.json["error"]["code"]) == (502, "upstream_error")
    assert (await server.chat("[demo status=401]"))["code"] == "upstream_auth"
    shared = await server.fetch(
        post(
            b'{"messages": [{"role": "user", "content": "a < b"}]}',
            "Connection: close",
            path=f"{V1}?action=generate_text",
        )
    )
    assert shared.status == 200
