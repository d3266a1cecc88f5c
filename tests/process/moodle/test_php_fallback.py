"""Promises of php/'s fallback: a process for one request, started only where nothing answered, ended in time."""

import json
import os
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from sidecar.demo.provider import Demo
from tests.support.php import command, drive, needs_php, script

pytestmark = needs_php

NOWHERE = "http://127.0.0.1:1/ai"
GOOD = json.dumps({"success": True, "data": "Yes."})


async def fall_back(path: Path, body: str, **more: Any) -> Any:
    """What a caller hears when the fallback is a program that does `body`."""
    program = script(path / "fallback", body)
    new = {"url": NOWHERE, "command": [str(program)], **more}
    return await drive("chat", new, content=more.pop("content", "Hello"))


def gone(file: Path) -> bool:
    """Whether the process that wrote its number there has ended."""
    try:
        os.kill(int(file.read_text()), 0)
    except ProcessLookupError:
        return True
    return False


async def test_on_a_dead_port_the_command_answers(demo: Demo, tmp_path: Path) -> None:
    """The same answer, by way of a process, whatever the text; its settings come from a file or from the caller."""
    path = command(tmp_path / "sidecar", f"--base-url={demo.url}/v1")
    text = "Ää 日本 😀 " * 150_000
    new = {"url": NOWHERE, "command": [str(path), "--stdio"], "environment": {"OPENAI_API_KEY": "sk-canary-key"}}
    reply = await drive("chat", new, content=text, userId="7")
    assert (reply["success"], reply["via"]) == (True, "process")
    assert demo.received[-1].headers["Authorization"] == "Bearer sk-canary-key"
    assert demo.received[-1].json()["messages"][-1]["content"] == text


async def test_a_connect_timeout_is_nobody_there(tmp_path: Path) -> None:
    """A machine that does not even take the connection has not begun to work."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(8):  # more than it takes: the next one is left without an answer
            crowd = stack.enter_context(socket.socket())
            crowd.setblocking(False)
            crowd.connect_ex(listener.getsockname())
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/ai"
        reply = await fall_back(tmp_path, f"print({GOOD!r})", url=url, connectTimeout=0.3)
    assert (reply["success"], reply["via"]) == (True, "process")
    assert reply["seconds"] >= 0.3


async def test_the_key_goes_by_environment_and_never_by_argument(tmp_path: Path) -> None:
    """Arguments show in the process list; what is not meant for the process does not reach it."""
    seen = tmp_path / "seen.json"
    program = script(
        tmp_path / "spy", f"json.dump([sys.argv, dict(os.environ)], open({str(seen)!r}, 'w')); print({GOOD!r})"
    )
    env = {
        "OPENAI_SIDECAR_HTTP_URL": NOWHERE,
        "OPENAI_SIDECAR_COMMAND": str(program),
        "OPENAI_SIDECAR_TOKEN": "token-canary",
        "OPENAI_API_KEY": "sk-canary-key",
        "MAX_TOKENS": " ",
        "HTTP_MODE": "true",
        "DATABASE_PASSWORD": "other-canary",
    }
    reply = await drive("chat", None, env=env, content="Hello")
    assert reply["success"]
    words, variables = json.loads(seen.read_text())
    assert words == [str(program), "--stdio"]
    assert variables["OPENAI_API_KEY"] == "sk-canary-key"
    assert not variables.keys() & {"MAX_TOKENS", "HTTP_MODE", "DATABASE_PASSWORD", "OPENAI_SIDECAR_TOKEN"}
    assert 1 < float(variables["REQUEST_TIMEOUT"]) < 30
    assert "canary" not in reply["dump"]


async def test_no_shell_stands_between(tmp_path: Path) -> None:
    """A path is a path: its spaces and signs are nothing to run."""
    odd = tmp_path / "a b; $(touch c) 'd'"
    odd.mkdir()
    assert (await fall_back(odd, f"print({GOOD!r})"))["success"]


async def test_a_flood_on_stderr_blocks_nothing(tmp_path: Path) -> None:
    """Megabytes of complaints, before the reply and after it; of them the start is kept for the log."""
    body = f"""
sys.stderr.write("complaint " * 800_000); sys.stderr.flush()
sys.stdin.read(); print({GOOD!r}, flush=True)
sys.stderr.write("more " * 800_000)
"""
    reply = await fall_back(tmp_path, body)
    assert reply["success"]
    assert reply["peak"] < 8e6


async def test_a_flood_without_an_end_ends_in_time(tmp_path: Path) -> None:
    """Nobody waits longer than agreed for a program gone mad."""
    body = "\nwhile True: os.write(2, b'x' * 65536)"
    reply = await fall_back(tmp_path, body, timeout=1.5)
    assert (reply["success"], reply["code"]) == (False, "sidecar_no_reply")
    assert reply["seconds"] < 60
    assert reply["peak"] < 8e6


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("", "sidecar_no_reply"),
        ("trap '' TERM", "sidecar_no_reply"),
        ("printf '{\"success\": tr'", "sidecar_no_reply"),
        ("exec 1>&- 2>&-", "sidecar_no_reply"),
        (f"echo '{GOOD}'", ""),
    ],
    ids=["silent", "deaf to SIGTERM", "half a reply", "outputs closed", "replied"],
)
async def test_a_child_that_never_ends_is_ended(tmp_path: Path, body: str, code: str) -> None:
    """At the limit it is killed; one that has replied is not waited for."""
    number, program = tmp_path / "pid", tmp_path / "fallback"
    # A shell, since Python may need longer than the limit to start on a busy machine.
    program.write_text(f"#!/bin/sh\necho $$ >{number}\n{body}\nexec sleep 600\n")
    program.chmod(0o755)
    reply = await drive("chat", {"url": NOWHERE, "command": [str(program)], "timeout": 2.0}, content="Hello")
    assert reply["code"] == code
    assert reply["success"] is (not code)
    assert reply["seconds"] < 60
    assert gone(number)


@pytest.mark.parametrize("reads", ["sys.stdin.close()", "pass"])
async def test_a_child_that_does_not_read_may_still_reply(tmp_path: Path, reads: str) -> None:
    """A request larger than any pipe, which the program leaves unread."""
    program = script(tmp_path / "fallback", f"{reads}; print({GOOD!r})")
    new = {"url": NOWHERE, "command": [str(program)]}
    assert (await drive("chat", new, content="word " * 600_000))["success"]


@pytest.mark.parametrize("name", ["no-such-command", "/no/such/command"])
async def test_a_missing_command_is_a_typed_failure(name: str) -> None:
    """Both ways failed: a sentence for the person, and for the log what was tried."""
    reply = await drive("chat", {"url": NOWHERE, "command": [name, "--stdio"]}, content="Hello")
    assert (reply["success"], reply["code"], reply["via"]) == (False, "sidecar_not_reached", None)
    assert reply["error"]
    assert "port 1" in reply["detail"]


@pytest.mark.parametrize("command", [None, []])
async def test_without_a_fallback_nothing_is_started(command: list[str] | None) -> None:
    """A site that wants no processes says so."""
    reply = await drive("chat", {"url": NOWHERE, "command": command}, content="Hello")
    assert reply["code"] == "sidecar_not_reached"


async def test_php_that_may_start_nothing_says_so() -> None:
    """Many hosts disable proc_open."""
    off = ("-d", "disable_functions=proc_open")
    reply = await drive("chat", {"url": NOWHERE}, options=off, content="Hello")
    assert reply["code"] == "sidecar_not_reached"
    assert "proc_open" in reply["detail"]


async def test_php_without_curl_uses_the_command(tmp_path: Path) -> None:
    """A missing extension is nobody there, and no fatal error."""
    program = script(tmp_path / "fallback", f"print({GOOD!r})")
    off = ("-d", "disable_functions=curl_init")
    reply = await drive("chat", {"url": NOWHERE, "command": [str(program)]}, options=off, content="Hello")
    assert (reply["success"], reply["via"]) == (True, "process")


async def test_bad_settings_are_logged_without_the_key(tmp_path: Path) -> None:
    """The command's own complaint is in `detail`; what a person sees names nothing internal."""
    path = command(tmp_path / "sidecar", "--max-tokens=none")
    env = {"OPENAI_API_KEY": "canary-canary", "OPENAI_BASE_URL": "canary-canary"}
    new = {"url": NOWHERE, "command": [str(path), "--stdio"], "environment": env}
    reply = await drive("chat", new, content="Hello")
    assert (reply["success"], reply["code"], reply["via"]) == (False, "sidecar_process_failed", "process")
    assert "exit code 2" in reply["detail"]
    assert "MAX_TOKENS" in reply["detail"]
    assert "canary" not in json.dumps(reply)
