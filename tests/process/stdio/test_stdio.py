"""Promises of the command as PHP, cron and shells start it: the real process, real descriptors, real signals."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from sidecar.demo.options import Options
from sidecar.demo.provider import Demo
from sidecar.demo.server import serve
from sidecar.stdio.process_limit import hold_place
from tests.support.paths import ROOT

PATIENCE = 60.0
CHAT = b'{"action": "chat", "content": "What is a fraction?", "context": "", "user_id": "7"}\n'
STALLED = b'{"action": "chat", "content": "[demo stall=1]"}\n'


@pytest.fixture
async def demo() -> AsyncIterator[Demo]:
    async with serve(Options(), keep=1000) as running:
        yield running


class Ended(NamedTuple):
    """What a process left."""

    code: int
    replies: list[Any]
    stderr: bytes


def php_flags(demo: Demo) -> list[str]:
    """The flags that the deployed communicator gives, in its form."""
    return [
        "--api-key=sk-canary-key",
        f"--base-url={demo.url}/v1",
        "--model=demo",
        "--max-tokens=500",
        "--summarize-threshold=2000",
    ]


@asynccontextmanager
async def started(*words: str, shell: str = "", **env: str) -> AsyncIterator[Process]:
    """The command in an environment of nothing but `env`; `shell` is put behind it where descriptors matter."""
    command = [sys.executable, "-m", "sidecar", *words]
    if shell:
        command = ["/bin/sh", "-c", f'exec "$@" {shell}', "sh", *command]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env=env, stdin=PIPE, stdout=PIPE, stderr=PIPE, limit=2**26
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def run(text: bytes, *words: str, shell: str = "", **env: str) -> Ended:
    """Write `text`, close, read to the end: what PHP does."""
    async with started(*words, shell=shell, **env) as process, asyncio.timeout(PATIENCE):
        stdout, stderr = await process.communicate(text)
    assert process.returncode is not None
    return Ended(process.returncode, [json.loads(line) for line in stdout.splitlines()], stderr)


async def test_phps_flags_are_all_it_takes(demo: Demo) -> None:
    """One line in an empty environment: one reply, nothing on stderr, exit code 0."""
    ended = await run(CHAT, *php_flags(demo))
    assert (ended.code, ended.stderr) == (0, b"")
    [reply] = ended.replies
    assert reply["success"]
    assert json.loads(demo.received[0].body)["max_tokens"] == 500


async def test_no_flags_and_no_environment_are_enough_with_a_file(demo: Demo, tmp_path: Path) -> None:
    """PHP-FPM empties the environment; the settings come from a file, even one that was edited on Windows."""
    file = tmp_path / "env"
    file.write_bytes(f"OPENAI_API_KEY=sk-x\r\nOPENAI_BASE_URL={demo.url}/v1 \r\n\r\nMAX_TOKENS=\r\n".encode())
    ended = await run(CHAT, f"--env-file={file}")
    assert (ended.code, ended.stderr, ended.replies[0]["success"]) == (0, b"", True)


async def test_blank_variables_are_unset(demo: Demo) -> None:
    """Compose files pass blanks, trailing spaces and carriage returns."""
    ended = await run(
        CHAT,
        "--model=",
        OPENAI_API_KEY="sk-x\r",
        OPENAI_BASE_URL=f"{demo.url}/v1 \r",
        MAX_TOKENS=" ",
        HTTP_MODE="\r",
        OPENAI_MODEL="",
    )
    assert (ended.code, ended.stderr, ended.replies[0]["success"]) == (0, b"", True)


async def test_many_lines_come_back_in_order(demo: Demo) -> None:
    """Good, bad and blank lines, the last one without its end."""
    lines = [b'{"action": "chat", "content": "number %d"}' % n for n in range(30)]
    lines[7:8] = [b"nonsense", b"", b"{}"]
    ended = await run(b"\n".join(lines), *php_flags(demo))
    codes = [reply.get("code", "ok") for reply in ended.replies]
    assert codes == ["ok"] * 7 + ["invalid_json", "invalid_request"] + ["ok"] * 22
    texts = [reply["data"] for reply in ended.replies if reply["success"]]
    assert [f"number {n}" in text for n, text in zip([*range(7), *range(8, 30)], texts, strict=True)] == [True] * 29


async def test_lines_of_several_megabytes_are_served(demo: Demo) -> None:
    """A long text is no reason to hang; one over the limit hears so."""
    fits = b'{"action": "chat", "content": "%s"}\n' % (b"word " * 600_000)
    over = b'{"action": "chat", "content": "%s"}\n' % (b"word " * 1_000_000)
    ended = await run(fits + over + CHAT, *php_flags(demo))
    assert [reply.get("code", "ok") for reply in ended.replies] == ["ok", "too_large", "ok"]
    assert ended.code == 0


@pytest.mark.parametrize("what", ["refused", "unreachable", "garbage"])
async def test_a_request_that_fails_is_a_reply_and_exit_code_0(demo: Demo, what: str) -> None:
    """To PHP a non-zero exit code would be a failed transport."""
    if what == "refused":
        demo.behave(api_key="another")
    elif what == "garbage":
        demo.behave(garbage="html")
    flags = php_flags(demo)
    if what == "unreachable":
        flags[1] = "--base-url=http://127.0.0.1:1/v1"
    ended = await run(CHAT, *flags)
    code = {"refused": "upstream_auth", "unreachable": "upstream_unreachable", "garbage": "upstream_error"}[what]
    assert ended.code == 0
    assert [reply["code"] for reply in ended.replies] == [code]
    assert b"canary" not in ended.stderr


async def test_bad_settings_are_exit_code_2_and_named() -> None:
    """All of them at once, nothing on stdout."""
    ended = await run(CHAT, "--max-tokens=many", PORT="none")
    assert (ended.code, ended.replies) == (2, [])
    assert [word in ended.stderr for word in (b"MAX_TOKENS", b"PORT", b"OPENAI_API_KEY")] == [True] * 3


@pytest.mark.parametrize(
    ("name", "value"), [("SSL_CERT_FILE", "/nonexistent/ca.pem"), ("https_proxy", "socks5://127.0.0.1:1")]
)
async def test_what_proves_unusable_later_is_exit_code_2_and_named(name: str, value: str) -> None:
    """A CA file and a proxy are looked at where they are opened; that is no fault of ours."""
    ended = await run(CHAT, "--api-key=sk-x", "--base-url=https://127.0.0.1:1/v1", **{name: value})
    assert (ended.code, ended.replies) == (2, [])
    assert ended.stderr.startswith(f"openai-moodle-sidecar: {name}".encode())
    assert ended.stderr.count(b"\n") == 1


@pytest.mark.parametrize("source", ["</dev/null", "<&-"])
async def test_without_piped_data_it_serves_http(source: str) -> None:
    """What a container or a unit has for stdin means HTTP."""
    async with started(shell=source, OPENAI_API_KEY="sk-x", PORT="0") as process, asyncio.timeout(PATIENCE):
        assert process.stderr is not None
        while b"listening" not in (line := await process.stderr.readline()):
            assert line
        process.terminate()
        assert await process.wait() == 0


@pytest.mark.parametrize("env", [{"HTTP_MODE": "true"}, {}])
async def test_http_can_be_forced_while_data_is_piped(env: dict[str, str]) -> None:
    """By a flag as by a variable; then logs are not cut short."""
    words = () if env else ("--http-mode",)
    async with started(*words, OPENAI_API_KEY="sk-x", PORT="0", **env) as process, asyncio.timeout(PATIENCE):
        assert process.stderr is not None
        while b"listening" not in (line := await process.stderr.readline()):
            assert line
        process.terminate()
        assert await process.wait() == 0


@pytest.mark.parametrize("source", ["</dev/null", "<&-"])
async def test_forced_stdio_without_input_ends_at_once(source: str) -> None:
    """No line, no reply, no failure."""
    assert await run(b"", "--stdio", shell=source, OPENAI_API_KEY="sk-x") == Ended(0, [], b"")


@pytest.mark.parametrize("closed", ["2>&-", ">&-", ">&- 2>&-"])
async def test_missing_descriptors_break_nothing(demo: Demo, closed: str) -> None:
    """No request is sent into a print, no reply into a socket; without a reader no call is paid for."""
    ended = await run(CHAT, *php_flags(demo), shell=closed)
    assert (ended.code, ended.stderr) == (0, b"")
    assert len(ended.replies) == demo.stats.received == (1 if closed == "2>&-" else 0)


async def test_nothing_but_replies_on_stdout(demo: Demo, tmp_path: Path) -> None:
    """Whatever a library prints: before, while and after, in Python or in C."""
    (tmp_path / "sitecustomize.py").write_text(
        "import atexit, os, sys, threading\n"
        "print('at start')\n"
        "def loud():\n"
        "    while 'sidecar.stdio.server' not in sys.modules: pass\n"
        "    print('while it runs', flush=True)\n"
        "    os.write(1, b'by a library in C')\n"
        "    os.write(2, b'x' * 100_000)\n"
        "    print('x' * 100_000, file=sys.stderr)\n"
        "threading.Thread(target=loud, daemon=True).start()\n"
        "atexit.register(print, 'at the end')\n"
    )
    ended = await run(CHAT * 20, *php_flags(demo), PYTHONPATH=str(tmp_path))
    assert [reply["success"] for reply in ended.replies] == [True] * 20
    assert (ended.code, len(ended.stderr) <= 16 * 1024) == (0, True)


@pytest.mark.parametrize("what", ["flags", "env file", "failures"])
async def test_stderr_stays_short(demo: Demo, tmp_path: Path, what: str) -> None:
    """PHP reads it after stdout has ended: a pipe full of complaints would hang it for good."""
    words, text = php_flags(demo), CHAT
    if what == "flags":
        words.append("--no-such-flag=" + "x" * 100_000)
    elif what == "env file":
        (tmp_path / "env").write_text("nonsense\n" * 20_000)
        words.append(f"--env-file={tmp_path / 'env'}")
    else:
        demo.behave(status=500)
        text = CHAT * 500
    ended = await run(text, *words)
    assert len(ended.stderr) <= 16 * 1024
    assert ended.code == (0 if what == "failures" else 2)


async def test_a_caller_who_leaves_ends_the_process(demo: Demo) -> None:
    """When stdout is closed at the other end, the call is given up, without a complaint."""
    hear, theirs = os.pipe()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sidecar", *php_flags(demo), cwd=ROOT, env={}, stdin=PIPE, stdout=theirs, stderr=PIPE
    )
    os.close(theirs)
    assert process.stdin is not None
    assert process.stderr is not None
    process.stdin.write(STALLED)
    await demo.until(lambda stats: stats.stalled == 1, within=PATIENCE)
    os.close(hear)
    async with asyncio.timeout(PATIENCE):
        assert await process.wait() == 0
        assert await process.stderr.read() == b""
    await demo.until(lambda stats: stats.cancelled == 1)
    process.stdin.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_stop_finishes_what_was_taken(demo: Demo, number: signal.Signals) -> None:
    """The accepted line gets its answer, the grace is kept, and the process ends as asked."""
    slow = b'{"action": "chat", "content": "[demo latency=0.5] one"}\n'
    async with started(*php_flags(demo), "--shutdown-grace=2") as process, asyncio.timeout(PATIENCE):
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(slow + STALLED)
        await demo.until(lambda stats: stats.received == 2, within=PATIENCE)
        process.send_signal(number)
        replies = [json.loads(line) for line in (await process.stdout.read()).splitlines()]
        assert [reply.get("code", "ok") for reply in replies] == ["ok", "shutting_down"]
        assert await process.wait() == 0


async def test_a_crowd_takes_turns_and_all_answer(demo: Demo) -> None:
    """A burst of processes stays within the limit, and everyone has a real answer."""
    demo.behave(latency=0.05)
    ended = await asyncio.gather(
        *(run(CHAT, *php_flags(demo), "--stdio-max-processes=4", "--request-timeout=60") for _ in range(40))
    )
    assert [(one.code, one.replies[0]["success"]) for one in ended] == [(0, True)] * 40
    assert demo.stats.peak_in_flight <= 4


async def test_without_a_place_every_line_hears_so(demo: Demo) -> None:
    """After a bounded wait a process without a place says `overloaded`, line by line, and that is no failure."""
    held = hold_place(1, PATIENCE)
    assert held is not None
    try:
        ended = await run(
            CHAT + b"\nnonsense\n" + CHAT, *php_flags(demo), "--stdio-max-processes=1", "--request-timeout=1"
        )
    finally:
        held.release()
    assert (ended.code, ended.stderr) == (0, b"")
    assert [reply["code"] for reply in ended.replies] == ["overloaded"] * 3
    assert demo.stats.received == 0


async def test_a_silent_provider_ends_at_the_deadline(demo: Demo) -> None:
    """The process ends itself: PHP has no time limit that works."""
    ended = await run(STALLED, *php_flags(demo), "--request-timeout=0.5")
    assert (ended.code, ended.replies[0]["code"]) == (0, "timeout")


async def test_a_regular_file_is_served(demo: Demo, tmp_path: Path) -> None:
    """`openai-moodle-sidecar < requests.jsonl > replies.jsonl`."""
    requests, replies = tmp_path / "requests.jsonl", tmp_path / "replies.jsonl"
    requests.write_bytes(CHAT * 3)
    ended = await run(b"", *php_flags(demo), shell=f"<{requests} >{replies}")
    assert (ended.code, ended.replies) == (0, [])
    assert len(replies.read_bytes().splitlines()) == 3
