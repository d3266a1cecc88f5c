"""Promises to the communicator that is deployed on sites: a double of it (tests/php/deployed.php) is served by us."""

import asyncio
import json
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sidecar.demo.provider import Demo
from tests.support.paths import ROOT
from tests.support.php import command, needs_php, php
from tests.support.server_process import Served, served

pytestmark = needs_php

CHAT = {"action": "chat", "content": "What is a fraction?", "context": "", "user_id": 7}
NOBODY = {"OPENAI_SIDECAR_HTTP_URL": "http://127.0.0.1:1/ai"}


@pytest.fixture
async def server(demo: Demo) -> AsyncIterator[Served]:
    async with served(f"--base-url={demo.url}/v1", "--api-key=k") as running:
        yield running


@pytest.fixture
def installed(demo: Demo, tmp_path: Path) -> Path:
    """The command on the path where the plugin has it, with its settings in the file that it finds by itself."""
    file = tmp_path / "env"
    file.write_text(f"OPENAI_API_KEY=sk-canary-key\nOPENAI_BASE_URL={demo.url}/v1\nOPENAI_MODEL=demo\n")
    return command(tmp_path / "openai-moodle-sidecar", f"--env-file={file}")


async def ask(path: Path, request: dict[str, object], **env: str) -> Any:
    code, out, err = await php(ROOT / "tests/php/deployed.php", path, text=json.dumps(request), env=env)
    assert (code, err) == (0, ""), (out, err)
    return json.loads(out)


def at(server: Served) -> dict[str, str]:
    return {"OPENAI_SIDECAR_HTTP_URL": f"http://{server.host}:{server.port}/ai"}


@pytest.mark.parametrize("user", [7, "7", None, ""])
@pytest.mark.parametrize("context", ["", None, "The sky is blue."])
async def test_what_it_sends_is_answered_over_http(
    server: Served, installed: Path, user: object, context: object
) -> None:
    """Whatever form its user and context take."""
    came = await ask(installed, CHAT | {"user_id": user, "context": context}, **at(server))
    assert (came["way"], came["success"]) == ("http", True)
    assert came["said"]


@pytest.mark.parametrize(
    ("request_", "ways", "code"),
    [
        ({"action": "translate", "content": "x"}, {}, "unknown_action"),
        ({"action": "chat", "content": "  "}, {}, "invalid_request"),
        (CHAT, {"api_key": "another"}, "upstream_auth"),
        (CHAT, {"quota": True}, "rate_limited"),
        (CHAT, {"status": 500}, "upstream_error"),
        (CHAT, {"garbage": "html"}, "upstream_error"),
        (CHAT, {"garbage": "empty"}, "empty_response"),
        (CHAT, {"garbage": "nocontent"}, "empty_response"),
        (CHAT, {"stall": 1.0}, "timeout"),
    ],
)
async def test_whatever_goes_wrong_is_no_reason_for_a_process(
    demo: Demo, installed: Path, request_: dict[str, object], ways: dict[str, object], code: str
) -> None:
    """What was understood has status 200: the plugin shows the sentence and starts nothing."""
    demo.behave(**ways)
    words = (f"--base-url={demo.url}/v1", "--api-key=k", f"--request-timeout={1 if code == 'timeout' else 20}")
    async with served(*words) as server:
        came = await ask(installed, request_, **at(server))
    assert (came["way"], came["success"], came["code"]) == ("http", False, code)
    assert came["said"]


async def test_a_burst_beyond_what_can_be_done_starts_no_process(demo: Demo, installed: Path) -> None:
    """Forty at once, and room for a few: some answers, for the rest an early clear no; all over HTTP."""
    demo.behave(latency=0.4)
    words = (f"--base-url={demo.url}/v1", "--api-key=k", "--concurrency=2", "--queue-size=8")
    async with served(*words) as server:
        came = await asyncio.gather(
            *(ask(installed, CHAT | {"user_id": n, "content": f"Q {n}"}, **at(server)) for n in range(40))
        )
    assert {one["way"] for one in came} == {"http"}
    assert {one.get("code") for one in came} <= {None, "overloaded", "timeout"}
    assert any(one["success"] for one in came)


async def test_a_draining_server_starts_no_process(server: Served, demo: Demo, installed: Path) -> None:
    """A restart under load is a sentence on the screen, not a stampede."""
    slow = asyncio.create_task(server.chat("[demo stall=1]"))
    await demo.until(lambda stats: stats.in_flight == 1)
    server.process.send_signal(signal.SIGTERM)
    await server.event("stopping")
    came = await ask(installed, CHAT, **at(server))
    assert (came["way"], came["code"]) == ("http", "shutting_down")
    server.process.send_signal(signal.SIGTERM)
    await asyncio.gather(slow, return_exceptions=True)


async def test_with_nobody_there_the_installed_command_answers(demo: Demo, installed: Path) -> None:
    """PHP-FPM's environment is empty: no variable, no flag, no PATH; the command finds all by itself."""
    came = await ask(installed, CHAT, **NOBODY)
    assert (came["way"], came["success"]) == ("process", True)
    assert demo.received[-1].headers["Authorization"] == "Bearer sk-canary-key"


async def test_a_server_s_env_file_makes_no_server_of_its_process(demo: Demo, tmp_path: Path) -> None:
    """HTTP_MODE=true in the file that server and process share: a reply, in time, and no second server."""
    file = tmp_path / "env"
    file.write_text(f"OPENAI_API_KEY=k\nOPENAI_BASE_URL={demo.url}/v1\nHTTP_MODE=true\nPORT=0\n")
    path = command(tmp_path / "openai-moodle-sidecar", f"--env-file={file}")
    came = await ask(path, CHAT, **NOBODY)
    assert (came["way"], came["success"]) == ("process", True)


async def test_the_flags_it_gives_are_understood(demo: Demo, installed: Path) -> None:
    """Where PHP sees the variables it passes them on as arguments, which beat the file."""
    env = {"OPENAI_MODEL": "it's a model", "MAX_TOKENS": "77", "SUMMARIZE_THRESHOLD": "", "OPENAI_API_KEY": "sk-flag"}
    came = await ask(installed, CHAT, **NOBODY, **env)
    assert (came["way"], came["success"]) == ("process", True)
    sent = demo.received[-1].json()
    assert (sent["model"], sent["max_tokens"]) == ("it's a model", 77)
    assert demo.received[-1].headers["Authorization"] == "Bearer sk-flag"


@pytest.mark.parametrize("ways", [{"status": 500}, {"garbage": "html"}, {"api_key": "another"}])
async def test_a_failed_request_is_no_failed_process(demo: Demo, installed: Path, ways: dict[str, object]) -> None:
    """Exit code 0 and the reply's own sentence; else the plugin would show stderr to the user."""
    demo.behave(**ways)
    came = await ask(installed, CHAT, **NOBODY)
    assert (came["way"], came["success"]) == ("process", False)
    assert "canary" not in json.dumps(came)


async def test_a_stalled_provider_does_not_hold_it_for_ever(demo: Demo, installed: Path) -> None:
    """It has no time limit that works: the process ends itself at the deadline."""
    demo.behave(stall=1.0)
    path = command(installed.with_name("short"), f"--base-url={demo.url}/v1", "--api-key=k", "--request-timeout=1")
    came = await ask(path, CHAT, **NOBODY)
    assert (came["way"], came["code"]) == ("process", "timeout")


async def test_a_server_that_stalls_costs_it_its_own_limit_only(installed: Path) -> None:
    """Why ours must answer first: this is what the double does when HTTP is silent."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/ai"
        came = await ask(installed, CHAT, OPENAI_SIDECAR_HTTP_URL=url, OPENAI_SIDECAR_HTTP_TIMEOUT="4")
    assert (came["way"], came.get("code"), came["success"]) == ("process", None, True), came


async def test_fifty_of_them_without_a_server_are_all_answered(demo: Demo, installed: Path) -> None:
    """The stampede that a dead server is: limited, in turns, and every one gets a reply."""
    demo.behave(latency=0.05)
    came = await asyncio.gather(*(ask(installed, CHAT | {"user_id": n}, **NOBODY) for n in range(50)))
    assert {one["way"] for one in came} == {"process"}
    assert {one.get("code") for one in came} <= {None, "overloaded"}
    assert sum(one["success"] for one in came) >= 16
    assert demo.stats.peak_in_flight <= 16
