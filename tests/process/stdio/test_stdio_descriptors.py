"""Promises of the command's descriptors: pipes, files, none at all, and nothing but replies on stdout."""

import asyncio
from pathlib import Path

import pytest

from sidecar.demo.provider import Demo
from tests.support.stdio_command import CHAT, PATIENCE, Ended, php_flags, run, started


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


async def test_a_regular_file_is_served(demo: Demo, tmp_path: Path) -> None:
    """`openai-moodle-sidecar < requests.jsonl > replies.jsonl`."""
    requests, replies = tmp_path / "requests.jsonl", tmp_path / "replies.jsonl"
    requests.write_bytes(CHAT * 3)
    ended = await run(b"", *php_flags(demo), shell=f"<{requests} >{replies}")
    assert (ended.code, ended.replies) == (0, [])
    assert len(replies.read_bytes().splitlines()) == 3
