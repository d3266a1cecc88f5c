"""Promises of deploy/nginx-moodle-ai.conf, held by a real nginx: what Moodle hears, however the sidecar is."""

import asyncio
import json
import re
import socket
from pathlib import Path
from typing import Any

import pytest

from sidecar.config.settings import BY_FIELD
from tests.support.http_sidecar import Answer, Caller, head, post
from tests.support.nginx import ADDRESS, BLOCK, front, needs_nginx
from tests.support.ports import free_port
from tests.support.scripted_provider import canned, http, listening

pytestmark = needs_nginx

PATH = "/v1/chat/completions"
BODY = json.dumps({"model": "m", "messages": [{"role": "user", "content": "Hello"}]}).encode()


async def ask(port: int, request: bytes) -> Answer:
    async with await Caller.connect(ADDRESS, port, described=False) as caller:
        await caller.send(request)
        return await caller.receive()


def error_of(answer: Answer) -> Any:
    """The error as Moodle reads it, complete."""
    assert answer.headers["content-type"] == "application/json"
    error = answer.json["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert isinstance(error["message"], str)
    return error


@pytest.mark.parametrize(
    "path",
    [f"{PATH}?action=summarize&a=%2F", "/v1/models", "/chat/completions", "/openai/deployments/d/chat/completions"],
)
async def test_a_call_passes_as_it_is(tmp_path: Path, path: str) -> None:
    """Path, query, key and body arrive; the answer comes back with the sidecar's own headers."""
    said = http({"ok": True}, x_request_id="r1")
    async with canned(said, close=True) as sidecar, front(tmp_path, sidecar.port) as nginx:
        answer = await ask(nginx.port, post(BODY, "Authorization: Bearer tok", path=path))
    assert (answer.status, answer.json, answer.headers["x-request-id"]) == (200, {"ok": True}, "r1")
    [heard] = sidecar.received
    assert heard.line.split()[:2] == ["POST", path]
    assert (heard.headers["authorization"], heard.body) == ("Bearer tok", BODY)


@pytest.mark.parametrize("status", [400, 401, 404, 413, 429, 500, 502, 503, 504])
async def test_what_the_sidecar_says_is_not_replaced(tmp_path: Path, status: int) -> None:
    """Its errors know more than nginx's."""
    said = {"error": {"message": "Ours.", "type": "t", "param": None, "code": "c"}}
    spoken = http(said, status, retry_after="7")
    async with canned(spoken, close=True) as sidecar, front(tmp_path, sidecar.port) as nginx:
        answer = await ask(nginx.port, post(BODY, path=PATH))
    assert (answer.status, answer.json, answer.headers["retry-after"]) == (status, said, "7")


async def test_a_dead_sidecar_is_a_503_that_moodle_understands(tmp_path: Path) -> None:
    """Moodle asks its next provider; a refused connection would be an uncaught exception there."""
    async with front(tmp_path, free_port()) as nginx:
        answer = await ask(nginx.port, post(BODY, path=PATH))
    assert (answer.status, error_of(answer)["code"]) == (503, "sidecar_down")
    assert answer.headers["retry-after"].isdigit()
    assert answer.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\nContent-Le"])
async def test_a_sidecar_that_dies_at_work_is_a_503(tmp_path: Path, said: bytes) -> None:
    """A connection that ends without a response has one here all the same."""
    async with canned(said, close=True) as sidecar, front(tmp_path, sidecar.port) as nginx:
        answer = await ask(nginx.port, post(BODY, path=PATH))
    assert (answer.status, error_of(answer)["code"]) == (503, "sidecar_down")


async def test_a_body_too_large_is_a_413_with_a_message(tmp_path: Path) -> None:
    """The refusal comes before the caller sent it, and the sidecar is not called."""
    async with canned(close=True) as sidecar, front(tmp_path, sidecar.port) as nginx:
        async with await nginx.call() as caller:
            await caller.send(head(f"Content-Length: {5 * 2**20}", "Content-Type: application/json", path=PATH))
            answer = await caller.receive()
        chunked = await ask(nginx.port, head("Transfer-Encoding: chunked", path=PATH) + b"500000\r\nx")
    assert [(one.status, error_of(one)["code"]) for one in (answer, chunked)] == [(413, "too_large")] * 2
    assert sidecar.received == []


async def test_a_slow_sidecar_is_a_504_with_a_message(tmp_path: Path) -> None:
    """The last bound on what Moodle waits: it sets none itself."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with front(tmp_path, silent.getsockname()[1], proxy_read_timeout="300ms") as nginx:
            answer = await ask(nginx.port, post(BODY, path=PATH))
    assert (answer.status, error_of(answer)["code"]) == (504, "timeout")


async def test_large_bodies_pass_without_touching_the_disk(tmp_path: Path) -> None:
    """Guzzle sends `Expect: 100-continue` over 1 MB; nothing a user wrote becomes a file."""
    body = b'{"messages": "%s"}' % (b"x" * (4 * 2**20 - 100))
    async with canned(close=True) as sidecar, front(tmp_path, sidecar.port) as nginx, await nginx.call() as caller:
        await caller.send(post(body, "Expect: 100-continue", path=PATH)[: -len(body)])
        assert await caller.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await caller.send(body)
        assert (await caller.receive()).status == 200
    assert sidecar.received[0].body == body


async def test_a_streams_words_go_out_as_they_come(tmp_path: Path) -> None:
    """The first event is with the caller before the sidecar has said the second."""
    heard_first = asyncio.Event()

    async def stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        writer.write(b"d\r\ndata: first\n\n\r\n")
        await heard_first.wait()
        writer.write(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")
        await writer.drain()
        writer.close()

    async with (
        asyncio.timeout(20),
        listening(stream) as server,
        front(tmp_path, server.sockets[0].getsockname()[1]) as nginx,
        await nginx.call() as caller,
    ):
        await caller.send(post(BODY, "Connection: close", path=PATH))
        await caller.reader.readuntil(b"data: first\n\n")
        heard_first.set()
        assert b"[DONE]" in await caller.rest()


@pytest.mark.parametrize(
    "path", ["/ai", "/status", "/jobs", "/jobs/1", "/health", "/", "/v1", "/v1/../status", "/v1/%2e%2e/ai"]
)
async def test_no_route_without_a_token_is_behind_it(tmp_path: Path, path: str) -> None:
    """To the sidecar a caller through nginx is this machine itself."""
    async with canned(close=True) as sidecar, front(tmp_path, sidecar.port) as nginx:
        answer = await ask(nginx.port, post(BODY, path=path))
    assert (answer.status, error_of(answer)["code"]) == (404, "not_found")
    assert sidecar.received == []


async def test_what_is_no_http_is_a_400_with_a_message(tmp_path: Path) -> None:
    """A long line, a method that nginx itself refuses."""
    async with front(tmp_path, free_port()) as nginx:
        for request in (
            head(path="/v1/" + "x" * 40_000),
            head(f"Cookie: {'x' * 40_000}", path=PATH),
            b"nonsense\r\n\r\n",
        ):
            answer = await ask(nginx.port, request)
            assert (answer.status, error_of(answer)["code"]) == (400, "bad_request")


async def test_the_address_is_its_own_next_to_a_server_on_every_address(tmp_path: Path) -> None:
    """Moodle's own site, which nearly everywhere holds the port on all addresses, gets none of these calls."""
    site = "server { listen {port} default_server; location / { return 200 site; } }"
    async with canned(http({"ok": True}), close=True) as sidecar, front(tmp_path, sidecar.port, beside=site) as nginx:
        assert (await ask(nginx.port, post(BODY, path=PATH))).json == {"ok": True}
        async with await nginx.call("127.0.0.1") as caller:
            await caller.send(head("Connection: close", path=PATH, method="GET"))
            assert (await caller.receive()).body == b"site"


def seconds(name: str) -> float:
    [text] = [line.split()[1] for line in BLOCK.read_text().splitlines() if line.strip().startswith(f"{name} ")]
    return float(text.removesuffix("s;"))


def test_nginx_waits_longer_than_the_sidecar() -> None:
    """Who has the clearer words speaks first; bodies are bounded alike on both sides."""
    assert seconds("proxy_read_timeout") >= BY_FIELD["request_timeout"].default + 10
    assert seconds("proxy_read_timeout") > 30
    assert f"client_max_body_size {BY_FIELD['max_body_bytes'].default // 2**20}m;" in BLOCK.read_text()


def snippet(kind: str, first: str) -> str:
    """The block of docs/moodle.md in that language whose first line says `first`."""
    text = (BLOCK.parents[1] / "docs/moodle.md").read_text("utf-8")
    [found] = [
        block for block in re.findall(rf"```{kind}\n(.*?)```", text, re.DOTALL) if first in block.partition("\n")[0]
    ]
    return str(found)


@pytest.mark.parametrize(
    ("target", "pool"),
    [
        ("/lib/ajax/service.php?sesskey=x&info=aiplacement_courseassist_summarise_text", "fpm-ai"),
        ("/lib/ajax/service.php?info=core_get_string,aiplacement_editor_generate_text&sesskey=x", "fpm-ai"),
        ("/local/YOUR-AI-PLUGIN/ask.php?id=1", "fpm-ai"),
        ("/lib/ajax/service.php?sesskey=x&info=core_fetch_notifications", "fpm"),
        ("/mod/quiz/attempt.php?attempt=1", "fpm"),
        ("/mod/quiz/attempt.php?x=aiplacement_y", "fpm"),
        ("/mod/page/view.php/local/YOUR-AI-PLUGIN/", "fpm"),
    ],
)
async def test_the_documented_routing_sends_ai_calls_to_their_own_pool(tmp_path: Path, target: str, pool: str) -> None:
    """A quiz attempt and a summary never ask for the same worker. (Each worker answers here with its name.)"""
    pools = snippet("nginx", "moodle-pools.conf").replace("/run/php/php8.3-", f"{tmp_path}/")
    site = "server { listen {port} default_server; location / { fastcgi_pass $moodle_pool; } }"
    # A record of FastCGI: version 1, STDOUT (6), request 1, length, no padding; then the end of the request (3).
    said = b"Content-Type: text/plain\r\n\r\n%s"

    def answering(name: str) -> Any:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            text = said % name.encode()
            writer.write(b"\x01\x06\x00\x01" + len(text).to_bytes(2, "big") + b"\x00\x00" + text)
            writer.write(b"\x01\x03\x00\x01\x00\x08\x00\x00" + bytes(8))
            await writer.drain()
            writer.close()

        return answer

    servers = [
        await asyncio.start_unix_server(answering(name), tmp_path / f"{name}.sock") for name in ("fpm", "fpm-ai")
    ]
    try:
        async with front(tmp_path, free_port(), beside=pools + site) as nginx, await nginx.call("127.0.0.1") as caller:
            await caller.send(head("Connection: close", path=target, method="GET"))
            assert f"\r\n{pool}\r\n".encode() in await caller.rest()
    finally:
        for server in servers:
            server.close()
