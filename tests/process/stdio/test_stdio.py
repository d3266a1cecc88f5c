"""Promises of the command as PHP, cron and shells start it: settings, a reply for each line, and exit codes."""

import json
from pathlib import Path

import pytest

from sidecar.demo.provider import Demo
from tests.support.stdio_command import CHAT, php_flags, run


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


async def test_a_file_makes_no_server_of_a_process_with_piped_input(demo: Demo, tmp_path: Path) -> None:
    """HTTP_MODE=true there is the server's; one line in the log says so, and --stdio needs no such line."""
    file = tmp_path / "env"
    file.write_text(f"OPENAI_API_KEY=sk-x\nOPENAI_BASE_URL={demo.url}/v1\nHTTP_MODE=true\nPORT=0\n")
    ended = await run(CHAT, f"--env-file={file}")
    assert (ended.code, ended.replies[0]["success"]) == (0, True)
    assert ended.stderr.count(b"\n") == 1
    assert b"--http-mode" in ended.stderr
    ended = await run(CHAT, f"--env-file={file}", "--stdio")
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
