"""Promises of php/: our communicator, driven as real PHP processes against real servers and real children."""

import asyncio
import base64
import json
import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from sidecar.demo.provider import Demo
from tests.support.paths import ROOT
from tests.support.php import command, drive, needs_php, php, script
from tests.support.scripted_provider import canned, http
from tests.support.server_process import Served, served

pytestmark = needs_php

NOWHERE = "http://127.0.0.1:1/ai"
GOOD = json.dumps({"success": True, "data": "Yes."})


@pytest.fixture
async def server(demo: Demo) -> AsyncIterator[Served]:
    async with served(f"--base-url={demo.url}/v1", "--api-key=k") as running:
        yield running


@pytest.fixture
def never(tmp_path: Path) -> Iterator[list[str]]:
    """A fallback that must not be started."""
    marker = tmp_path / "started"
    yield [str(script(tmp_path / "never", f"open({str(marker)!r}, 'w'); print({GOOD!r})"))]
    assert not marker.exists()


def at(server: Served, **more: Any) -> dict[str, Any]:
    return {"url": f"http://{server.host}:{server.port}/ai", **more}


def told(reply: Any) -> tuple[Any, Any, Any]:
    return reply["success"], reply["code"], reply["via"]


async def test_the_three_actions_are_answered_over_http(server: Served, demo: Demo, never: list[str]) -> None:
    """A user may be a number, a word or nobody; the answer is the model's own text."""
    new = at(server, command=never)
    replies = [
        await drive("chat", new, content="Why?", context="The sky is blue.", userId=7),
        await drive("summarize", new, content="Rivers carry sand. The sea takes it.", userId="anna"),
        await drive("analyze", new, content="Fractions are parts of a whole."),
    ]
    assert [told(reply) for reply in replies] == [(True, "", "http")] * 3
    assert all(reply["data"] for reply in replies)
    assert demo.stats.received == 3


@pytest.mark.parametrize("psr4", [False, True], ids=["require", "composer"])
async def test_it_is_loaded_by_one_require_or_by_composers_rule(server: Served, *, psr4: bool) -> None:
    """Every class is where PSR-4 looks for it, and the one file finds all of them."""
    assert (await drive("chat", at(server), psr4=psr4, content="Hello"))["success"]
    assert (await drive("chat", {"url": NOWHERE, "command": None}, psr4=psr4, content="Hello"))["failure"]


async def test_the_variables_say_where_and_how_long(server: Served, tmp_path: Path) -> None:
    """OPENAI_SIDECAR_HTTP_URL, its two times and the command; blanks and nonsense mean the defaults."""
    env = {
        "OPENAI_SIDECAR_HTTP_URL": f" {at(server)['url']}",
        "OPENAI_SIDECAR_HTTP_TIMEOUT": "12.5",
        "OPENAI_SIDECAR_CONNECT_TIMEOUT": "soon",
        "OPENAI_SIDECAR_COMMAND": str(tmp_path / "some"),
    }
    reply = await drive("chat", None, env=env, content="Hello")
    assert reply["success"]
    for words in ("[timeout] => 12.5", "[connectTimeout] => 5", f"{tmp_path}/some"):
        assert words in reply["dump"]


@pytest.mark.parametrize(
    "text",
    ["Äpfel, 日本語, Ελληνικά, 😀 and \u0000 and \u2028", "<b>\"q\" & 'a'</b>\r\n\t\\", "word " * 600_000],
    ids=["non-ASCII", "markup", "3 MB"],
)
async def test_any_text_arrives_as_it_is(server: Served, demo: Demo, never: list[str], text: str) -> None:
    """What the teacher wrote is what the provider reads."""
    assert (await drive("chat", at(server, command=never), content=text))["success"]
    assert demo.received[-1].json()["messages"][-1]["content"] == text


async def test_bytes_that_are_no_text_do_no_harm(server: Served, demo: Demo) -> None:
    """Broken UTF-8, a lone surrogate's among it, is replaced; nothing throws."""
    raw = base64.b64encode(b"good \xff\xfe \xed\xa0\x80 text").decode()
    assert (await drive("chat", at(server), base64=raw))["success"]
    sent = demo.received[-1].json()["messages"][-1]["content"]
    assert sent.startswith("good \ufffd")
    assert sent.endswith(" text")


async def test_a_refusal_is_a_reply_and_starts_no_process(server: Served, demo: Demo, never: list[str]) -> None:
    """Whatever the sidecar says is said to the caller, typed, with the sentence for the person."""
    new = at(server, command=never)
    assert told(await drive("chat", new, content=" ")) == (False, "invalid_request", "http")
    demo.behave(api_key="another")
    refused = await drive("chat", new, content="Hello")
    assert (refused["failure"], refused["via"]) == ("upstream_auth", "http")
    assert "OPENAI_API_KEY" in refused["error"]


async def test_a_token_is_sent_where_there_is_one(demo: Demo, never: list[str]) -> None:
    """Without it 401 is a typed failure and no process; a user and password in the URL do as well."""
    words = (f"--base-url={demo.url}/v1", "--api-key=k", "--sidecar-token=sesame-token", "--ai-require-token")
    async with served(*words) as server:
        new = at(server, command=never)
        assert told(await drive("chat", new, content="Hello")) == (False, "unauthorized", "http")
        good = await drive("chat", new | {"token": "sesame-token"}, content="Hello")
        assert good["success"]
        assert "sesame" not in good["dump"]
        named = f"http://moodle:sesame-token@{server.host}:{server.port}/ai"
        assert (await drive("chat", new | {"url": named}, content="Hello"))["success"]


async def test_a_draining_server_is_an_answer(server: Served, demo: Demo, never: list[str]) -> None:
    """A restart does not become a process a click."""
    slow = asyncio.create_task(server.chat("[demo stall=1]"))
    await demo.until(lambda stats: stats.in_flight == 1)
    server.process.send_signal(signal.SIGTERM)
    await server.event("stopping")
    assert told(await drive("chat", at(server, command=never), content="Hello")) == (False, "shutting_down", "http")
    server.process.send_signal(signal.SIGTERM)
    await asyncio.gather(slow, return_exceptions=True)


async def test_a_stalling_server_is_not_called_twice(never: list[str]) -> None:
    """It may be working on the request: the time runs out, and that is all."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/ai"
        reply = await drive("chat", {"url": url, "timeout": 0.5, "command": never}, content="Hello")
    assert told(reply) == (False, "sidecar_no_reply", None)
    assert reply["seconds"] < 5


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (http(b"<h1>Bad gateway</h1>", 502), "sidecar_bad_reply"),
        (http(b"{}", 200), "sidecar_bad_reply"),
        (http(b'{"success": true, "data": null}', 200), "sidecar_bad_reply"),
        (http(b'{"success": false, "error": "New.", "code": "of_tomorrow"}', 503, retry_after="7"), "of_tomorrow"),
        (b"", "sidecar_no_reply"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", "sidecar_no_reply"),
        (b"no HTTP at all\r\n\r\n", "sidecar_no_reply"),
    ],
)
async def test_nothing_that_answered_starts_a_process(never: list[str], answer: bytes, code: str) -> None:
    """A proxy's error page, a foreign service, a connection cut: a typed failure with a sentence."""
    async with canned(answer, close=True) as other:
        reply = await drive("chat", {"url": f"http://127.0.0.1:{other.port}/ai", "command": never}, content="Hello")
    assert (reply["success"], reply["code"]) == (False, code)
    assert reply["error"]
    assert len(other.received) == 1
    if code == "of_tomorrow":
        assert (reply["failure"], reply["retryAfter"]) == ("other", 7)


async def test_fifty_at_once_are_all_answered(server: Served, demo: Demo, never: list[str]) -> None:
    """A class that clicks in the same second."""
    demo.behave(latency=0.1)
    new = at(server, command=never)
    replies = await asyncio.gather(*(drive("chat", new, content=f"Question {n}", userId=n) for n in range(50)))
    assert [told(reply) for reply in replies] == [(True, "", "http")] * 50
    assert all(f"Question {n}" in reply["data"] for n, reply in enumerate(replies))


async def test_fifty_at_once_on_a_dead_port_are_all_answered(demo: Demo, tmp_path: Path) -> None:
    """Each falls back to a process; these take turns, and nobody is left without a reply."""
    demo.behave(latency=0.05)
    path = command(tmp_path / "sidecar", f"--base-url={demo.url}/v1", "--api-key=k", "--stdio-max-processes=4")
    new = {"url": NOWHERE, "command": [str(path)], "timeout": 60.0}
    replies = await asyncio.gather(*(drive("chat", new, content=f"Question {n}") for n in range(50)))
    assert [told(reply) for reply in replies] == [(True, "", "process")] * 50
    assert demo.stats.peak_in_flight <= 4


async def test_every_file_parses() -> None:
    """PHP finds no fault in any file, and takes types seriously in each."""
    for file in [path for folder in ("php", "tests/php", "deploy") for path in sorted((ROOT / folder).rglob("*.php"))]:
        assert (await php("-l", file))[0] == 0
        assert "declare(strict_types=1);" in file.read_text()
    assert os.access(ROOT / "php/sidecar.php", os.R_OK)
