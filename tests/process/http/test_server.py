"""Promises of the server as a process: starting, answering, and refusing what makes no sense."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from sidecar.demo.provider import Demo
from sidecar.http.server.protocol import HALF_CLOSE_SECONDS
from tests.support.http_sidecar import Caller, head, post
from tests.support.paths import ROOT
from tests.support.ports import free_port
from tests.support.server_process import PATIENCE, Served, finished, served


async def test_it_says_where_it_listens_and_where_texts_go(server: Served, demo: Demo) -> None:
    """The administrator reads both in the log, before any text was sent."""
    listening = await server.event("listening")
    assert listening["ai"].endswith("/ai")
    assert listening["health"].endswith("/health")
    assert (await server.event("provider"))["host"] == demo.url.removeprefix("http://")


async def test_demo_needs_no_key_and_says_what_it_is() -> None:
    """`--demo` answers from inside, and its log says that no model is behind it."""
    async with served("--demo") as server:
        assert "not from a model" in (await server.event("demo"))["note"]
        reply = await server.chat("The moon pulls the sea. So the water rises.", action="summarize")
        assert reply["success"]
        assert "moon" in reply["data"]


@pytest.mark.parametrize("action", ["chat", "summarize", "analyze"])
async def test_the_three_actions_reach_the_provider(server: Served, demo: Demo, action: str) -> None:
    """Through the real SDK over a real connection, with their own token limits."""
    reply = await server.chat("A text about fractions.", action=action, user_id="7")
    assert reply["success"]
    sent = demo.received[-1].json()
    assert sent["max_tokens"] == (500 if action == "summarize" else 1000)
    assert "user" not in sent
    assert "fractions" in json.dumps(sent["messages"][1:])
    assert "fractions" not in sent["messages"][0]["content"]


async def test_a_long_context_is_summarized_first(server: Served, demo: Demo) -> None:
    """Two calls: the context's summary, then the chat with it in the context's place."""
    reply = await server.chat("What is it about?", context="Rivers carry sand to the sea. " * 200)
    assert reply["success"]
    assert demo.stats.received == 2
    assert len(json.dumps(demo.received[-1].json())) < 6000


async def test_a_text_too_long_for_one_call_is_summarized_in_parts(demo: Demo) -> None:
    """Split by tokens, summarized side by side, combined."""
    async with served(f"--base-url={demo.url}/v1", "--api-key=k", "--context-tokens=2000") as server:
        text = "".join(f"Sentence number {n} tells of rivers and of the sea. " for n in range(600))
        reply = await server.chat(text, action="summarize")
    assert reply["success"]
    assert demo.stats.received > 4


async def test_a_user_reaches_the_provider_as_an_hmac_only(demo: Demo) -> None:
    """SEND_USER sends a pseudonym that the provider cannot reverse."""
    words = ("--send-user", "--user-secret=site-secret", "--api-key=k")
    async with served(f"--base-url={demo.url}/v1", *words) as server:
        await server.chat("Hello", user_id="anna@school.example")
    user = demo.received[-1].json()["user"]
    assert "anna" not in user
    assert len(user) == 64


async def test_a_caller_who_leaves_frees_the_providers_call(server: Served, demo: Demo) -> None:
    """A closed browser tab costs nothing further."""
    async with await server.call() as caller:
        await caller.send(post(b'{"action": "chat", "content": "[demo stall=1]"}'))
        await demo.until(lambda stats: stats.in_flight == 1)
        clock = asyncio.get_running_loop().time
        sent = clock()
        while clock() < sent + HALF_CLOSE_SECONDS:  # sooner, the end could be one of sending alone
            await server.get("/health")
    await demo.until(lambda stats: stats.cancelled == 1)
    status = (await server.get("/status")).json
    assert (status["places"]["now"], status["slots"]["running"]) == (0, 0)


async def test_health_answers_while_the_sdk_still_loads(demo: Demo) -> None:
    """A balancer that probes at once finds it up."""
    async with served(f"--base-url={demo.url}/v1", "--api-key=k") as server:
        assert (await server.get("/health")).json["status"] == "healthy"


async def test_a_log_that_cannot_be_written_costs_the_line_only(demo: Demo) -> None:
    """Disk full: requests go on."""
    port = free_port()
    command = 'exec "$@" 2>/dev/full'
    words = ("--http-mode", f"--port={port}", "--api-key=k", f"--base-url={demo.url}/v1")
    process = await asyncio.create_subprocess_exec(
        "/bin/sh", "-c", command, "sh", sys.executable, "-m", "sidecar", *words, cwd=ROOT, env={}
    )
    try:
        async with asyncio.timeout(PATIENCE):
            while True:
                with contextlib.suppress(OSError):
                    async with await Caller.connect("127.0.0.1", port) as caller:
                        await caller.send(post())
                        assert (await caller.receive()).json["success"]
                        break
    finally:
        process.terminate()
        assert await process.wait() == 0


def refused(*words: str, **env: str) -> tuple[int, list[str]]:
    done = subprocess.run(
        [sys.executable, "-m", "sidecar", *words],
        cwd=ROOT,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == ""
    return done.returncode, done.stderr.splitlines()


def test_settings_that_make_no_sense_stop_it_at_once() -> None:
    """Exit code 2, one line a fault, all of them together, no secret shown."""
    code, lines = refused("--http-mode", PORT="none", MAX_TOKENS="0", OPENAI_API_KEY="two words")
    assert code == 2
    assert len(lines) == 3
    assert any("PORT=none" in line and "--port" in line for line in lines)
    assert any("MAX_TOKENS=0" in line for line in lines)
    assert not any("two words" in line for line in lines)


def test_no_key_is_one_line() -> None:
    """What to do is said, and nothing else."""
    code, lines = refused("--http-mode")
    assert code == 2
    assert len(lines) == 1
    assert "OPENAI_API_KEY" in lines[0]


@pytest.mark.parametrize("words", [["--nonsense"], ["extra"], ["--stdio", "--http-mode"]])
def test_wrong_words_are_one_line(words: list[str]) -> None:
    """A misspelt flag is named."""
    code, lines = refused(*words, OPENAI_API_KEY="k")
    assert (code, len(lines)) == (2, 1)


async def test_a_taken_port_is_said(server: Served) -> None:
    """Exit code 2 and the port's name, instead of a traceback."""
    code, lines = refused("--http-mode", f"--port={server.port}", OPENAI_API_KEY="k")
    assert code == 2
    assert f"PORT={server.port}" in lines[0]


def test_help_names_every_flag_with_its_variable() -> None:
    """The one place to look."""
    from sidecar.config.settings import SETTINGS

    done = subprocess.run(
        [sys.executable, "-m", "sidecar", "--help-all"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    text = " ".join(done.stdout.split())
    for setting in SETTINGS:
        assert setting.option in text
        assert setting.name in text


async def test_without_a_pipe_it_serves_http(demo: Demo) -> None:
    """A container's or unit's stdin is /dev/null: that means HTTP, without any flag."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "sidecar",
        "--demo",
        "--port=0",
        cwd=ROOT,
        env={},
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(30):
            while b"listening" not in await process.stderr.readline():
                pass
    finally:
        process.terminate()
        await process.communicate()


async def test_half_and_slow_requests_leave_it_serving_others(server: Served) -> None:
    """Fifty half headers, fifty half bodies, and everybody else is served at once."""
    half = [await server.call() for _ in range(100)]
    try:
        for number, caller in enumerate(half):
            await caller.send(post(b"x" * 1000)[:-500] if number % 2 else head()[:-3])
        assert (await server.chat("Hello"))["success"]
    finally:
        for caller in half:
            caller.writer.transport.abort()


async def test_large_and_deep_bodies_are_refused(server: Served) -> None:
    """9 MB are too large, 100,000 brackets too deep; the next request is served."""
    big = await server.fetch(post(b'{"action": "chat", "content": "' + b"x" * 9_000_000 + b'"}'))
    assert (big.status, big.json["code"]) == (413, "too_large")
    deep = await server.fetch(post(b'{"action": "chat", "content": "x", "more": ' + b"[" * 100_000))
    assert (deep.status, deep.json["code"]) == (400, "invalid_json")
    assert (await server.chat("Hello"))["success"]


def test_it_runs_as_a_module_and_as_a_command() -> None:
    """`python -m sidecar` is the command, with the same version."""
    module = subprocess.run(
        [sys.executable, "-m", "sidecar", "--version"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert module.stdout.startswith("openai-moodle-sidecar ")
    command = Path(sys.executable).with_name("openai-moodle-sidecar")
    if command.exists():
        assert (
            subprocess.run(
                [command, "--version"], env=dict(os.environ), capture_output=True, text=True, check=True
            ).stdout
            == module.stdout
        )


async def test_a_misspelled_variable_is_warned_of_at_the_start() -> None:
    """By its name and the right one; in a one-shot process, whose stderr PHP copies, not a word."""
    around = {"OPENAI_API_BASE": "http://canary.invalid"}
    async with served("--demo", **around) as server:
        warned = await server.event("variable_ignored", variable="OPENAI_API_BASE")
        assert "write OPENAI_BASE_URL" in warned["note"]
        assert b"canary" not in server.raw
    command = [sys.executable, "-m", "sidecar", "--stdio", "--demo"]
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=around, stdin=PIPE, stdout=PIPE, stderr=PIPE)
    code, _, logged = await finished(process, b"{}\n")
    assert (code, "variable" in logged) == (0, False)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="reads what a process has loaded in /proc")
async def test_the_first_answer_after_listening_waits_for_no_import(demo: Demo) -> None:
    """The line comes once the SDK is loaded, whose import takes a second."""
    async with served(f"--base-url={demo.url}/v1", "--api-key=k", "--provider-client=openai") as server:
        maps = await asyncio.to_thread(Path(f"/proc/{server.process.pid}/maps").read_text)
        assert "/pydantic_core/" in maps
        assert (await server.chat("A first one."))["success"]
