"""Promises of `openai-moodle-sidecar doctor`: the real command, in front of a provider in each of its moods."""

import os
from pathlib import Path

import pytest

from sidecar.demo.provider import Demo
from sidecar.doctor.configuration import SERVICE_KEY
from tests.support.doctor_command import KEY, at, doctor, report
from tests.support.php import command
from tests.support.ports import free_port
from tests.support.scripted_provider import canned, http
from tests.support.server_process import served


async def test_where_all_is_well_it_says_so(demo: Demo, tmp_path: Path) -> None:
    """Settings, provider, port, plugin's address and command: nothing failed, exit code 0, nothing paid."""
    file = tmp_path / "env"
    file.write_text(f"OPENAI_API_KEY={KEY}\nOPENAI_BASE_URL={demo.url}/v1\nOPENAI_MODEL=demo\n")
    file.chmod(0o640)
    path = command(tmp_path / "openai-moodle-sidecar", f"--env-file={file}")
    async with served(f"--env-file={file}") as server:
        url = f"http://{server.host}:{server.port}/ai"
        said = await report(f"--env-file={file}", f"--port={server.port}", f"--php-url={url}", f"--php-command={path}")
    bad = [finding for finding in said.json["findings"] if finding["state"] not in ("ok", "note")]
    assert (said.code, bad) == (0, [])
    for check in ("env file", "settings", "name", "connection", "model", "port", "plugin's URL", "plugin's command"):
        assert said.state(check) == "ok"
    assert demo.stats.received == 0


async def test_people_get_lines_that_say_what_to_do(demo: Demo) -> None:
    """Each finding with its mark, the cure below it, and a count at the end."""
    said = await doctor(*at(demo), "--php-command=/no/such/command")
    assert said.code == 1
    assert "OPENAI_API_KEY = set  (flag --api-key)" in said.text
    assert "FAIL  plugin's command: there is nothing at /no/such/command" in said.text
    assert "\n      -> link the installed command there" in said.text
    assert said.text.splitlines()[-1].startswith("1 failed")
    assert "more at their defaults" in said.text
    assert "SHUTDOWN_GRACE = 30" in (await doctor(*at(demo), "--all")).text


async def test_every_setting_has_its_source(demo: Demo, tmp_path: Path) -> None:
    """Flag, variable, env file, secret file or default; secrets and credentials in addresses are not shown."""
    file, secret = tmp_path / "env", tmp_path / "token"
    file.write_text("CONCURRENCY=7\nMAX_TOKENS=9\n")
    secret.write_text("token-canary")
    said = await report(
        f"--env-file={file}",
        "--max-tokens=8",
        OPENAI_API_KEY=KEY,
        SIDECAR_TOKEN_FILE=str(secret),
        OPENAI_BASE_URL=f"http://user:canary@{demo.url.removeprefix('http://')}/v1?key=canary",
        EXTRA_BODY='{"key": "canary"}',
        OPENAI_SIDECAR_HTTP_TIMEOUT="30",
    )
    assert said.setting("MAX_TOKENS") == ("8", "flag --max-tokens")
    assert said.setting("CONCURRENCY") == ("7", f"file {file}")
    assert said.setting("OPENAI_API_KEY") == ("set", "variable")
    assert said.setting("SIDECAR_TOKEN") == ("set", f"the file {secret}, named by SIDECAR_TOKEN_FILE (variable)")
    assert said.setting("OPENAI_BASE_URL") == (f"{demo.url}/v1?…", "variable")
    assert said.setting("EXTRA_BODY") == ("set", "variable")
    assert said.setting("REQUEST_TIMEOUT") == ("less than 30", "OPENAI_SIDECAR_HTTP_TIMEOUT")
    assert said.setting("PORT") == ("8080", "default")


async def test_every_wrong_setting_is_named_and_the_rest_still_looked_at(demo: Demo) -> None:
    """All faults at once; without a key the provider is looked at all the same."""
    said = await report("--port=none", "--max-tokens=0", OPENAI_API_KEY=KEY)
    wrong = [finding["what"] for finding in said.json["findings"] if finding["state"] == "failed"]
    assert [what.partition("=")[0] for what in wrong] == ["MAX_TOKENS", "PORT"]
    assert said.code == 1
    keyless = await report(f"--base-url={demo.url}/v1", "--model=demo")
    assert "OPENAI_API_KEY" in keyless.finding("settings")["what"]
    assert f"OPENAI_API_KEY_FILE={SERVICE_KEY}" in keyless.finding("settings")["do"]
    assert keyless.state("connection") == "ok"


async def test_client_and_authentication_are_named(demo: Demo, tmp_path: Path) -> None:
    """Which client is in use, and what the provider is shown; without a token for Azure the key's check fails."""
    secret = tmp_path / "key"
    secret.write_text(KEY)
    base = f"--base-url={demo.url}/v1"
    said = await report(base, "--model=demo", "--provider-client=openai", OPENAI_API_KEY_FILE=str(secret))
    assert "the client openai and a key from a file" in said.finding("provider")["what"]
    assert said.state("model") == "ok"
    said = await report(base, "--azure-auth=entra", AZURE_TOKEN_CREDENTIALS="EnvironmentCredential")
    assert "the client openai and a token of Microsoft Entra ID" in said.finding("provider")["what"]
    assert (said.state("key"), said.code) == ("failed", 1)
    assert "AZURE_CLIENT_ID" in said.finding("key")["do"]


@pytest.mark.parametrize(
    ("ways", "check", "state", "words"),
    [
        ({"api_key": "another"}, "key", "failed", "refuses the key"),
        ({"models": "gpt-9,demo-mini"}, "model", "warning", "demo-mini"),
        ({"models": "a,demo,b"}, "model", "ok", "3 models"),
    ],
)
async def test_key_and_model_are_looked_at_without_paying(
    demo: Demo, ways: dict[str, object], check: str, state: str, words: str
) -> None:
    """The provider's list of models tells both."""
    demo.behave(**ways)
    said = await report(*at(demo))
    assert said.state(check) == state
    assert words in said.finding(check)["what"]
    assert (said.finding(check)["do"] == "") is (state == "ok")
    assert demo.stats.received == 0


@pytest.mark.parametrize(
    ("ways", "state", "words"),
    [
        ({}, "ok", "answered in"),
        ({"quota": True}, "failed", "rate_limited"),
        ({"status": 500}, "failed", "upstream_error"),
        ({"garbage": "html"}, "failed", "upstream_error"),
        ({"garbage": "nocontent"}, "failed", "empty_response"),
        ({"stall": 1.0}, "failed", "timeout"),
        ({"cut": "body"}, "failed", "upstream_error"),
        ({"no_max_tokens": True}, "ok", "learned of its requests: max_completion_tokens"),
    ],
)
async def test_a_call_is_made_only_on_request(demo: Demo, ways: dict[str, object], state: str, words: str) -> None:
    """One tiny question, and the code that users would meet."""
    demo.behave(**ways)
    said = await report(*at(demo, "--call", "--request-timeout=2"))
    assert said.state("call") == state
    assert words in said.finding("call")["what"]
    assert demo.stats.received <= 2


@pytest.mark.parametrize(
    ("answer", "check", "state"),
    [
        (http(b"<h1>Welcome</h1>"), "model", "warning"),
        (http({"data": [{"id": 7}, None, {"id": "m"}]}), "model", "warning"),
        (http({"error": {"message": f"key {KEY} may not"}}, 403), "key", "warning"),
        (http(b"", 404), "model", "note"),
        (http(b"", 503), "model", "warning"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "HTTP", "failed"),
        (b"", "HTTP", "failed"),
    ],
)
async def test_what_is_no_api_is_recognised(answer: bytes, check: str, state: str) -> None:
    """A web site, a foreign service, a key that may not list: each with its own advice."""
    async with canned(answer, close=True) as provider:
        said = await report(f"--base-url={provider.url}", f"--api-key={KEY}", "--model=demo")
    assert said.state(check) == state
    assert said.finding(check)["do"]
    assert provider.received[0].line.startswith("GET /v1/models ")
    assert provider.received[0].headers["authorization"] == f"Bearer {KEY}"


async def test_a_provider_that_is_not_there_is_said_by_its_step(demo: Demo) -> None:
    """No name, nobody listening, no TLS: where it stops is where to look."""
    assert (await report("--base-url=http://no-such-host.invalid/v1", f"--api-key={KEY}")).state("name") == "failed"
    refused = await report("--base-url=http://127.0.0.1:1/v1", f"--api-key={KEY}")
    assert "refuses connections" in refused.finding("connection")["what"]
    insecure = await report(f"--base-url={demo.url.replace('http', 'https')}/v1", f"--api-key={KEY}")
    assert "TLS" in insecure.finding("connection")["what"]
    proxied = await report("--base-url=https://x.invalid/v1", f"--api-key={KEY}", https_proxy="socks5://127.0.0.1:1")
    assert [finding["state"] for finding in proxied.json["findings"] if finding["check"] == "provider"] == ["failed"]


async def test_the_port_is_free_ours_or_anothers(demo: Demo) -> None:
    """Which of the three, and what to do in each."""
    free = free_port()
    assert "is free" in (await report(*at(demo), f"--port={free}")).finding("port")["what"]
    other = demo.url.rpartition(":")[2]
    taken = await report(*at(demo), f"--port={other}")
    assert (taken.state("port"), taken.code) == ("failed", 1)
    assert f"(process {os.getpid()}) listens there" in taken.finding("port")["do"]


async def test_an_env_file_that_all_may_read_is_a_warning(demo: Demo, tmp_path: Path) -> None:
    """The key is in it."""
    file = tmp_path / "env"
    file.write_text(f"OPENAI_API_KEY={KEY}\nOPENAI_BASE_URL={demo.url}/v1\nOPENAI_MODEL=demo\n")
    file.chmod(0o644)
    said = await report(f"--env-file={file}")
    assert (said.state("env file"), said.code) == ("warning", 0)
    assert "chmod 640" in said.finding("env file")["do"]


@pytest.mark.parametrize("words", [["--nonsense"], ["extra"]])
async def test_a_wrong_call_is_one_line(words: list[str]) -> None:
    """Exit code 2, and --help tells the rest."""
    said = await doctor(*words)
    assert (said.code, said.text, len(said.err.splitlines())) == (2, "", 1)
    assert "--call" in (await doctor("--help")).text


async def test_misspelled_names_are_named(demo: Demo, tmp_path: Path) -> None:
    """In the environment a warning, in the env file a failure, each with the right name."""
    around = {"OPENAI_API_BASE": "http://canary.invalid", "LOGNAME": "root", "TZ": "UTC"}
    said = await report(*at(demo), **around)
    assert "variables" not in {finding["check"] for finding in said.json["findings"]}
    said = await report(f"--api-key={KEY}", "--port=x", **around)
    assert said.state("variables") == "warning"
    assert "write OPENAI_BASE_URL" in said.finding("variables")["do"]
    file = tmp_path / "env"
    file.write_text("SIDECAR_TOKENS=canary\n")
    wrong = await report(*at(demo, f"--env-file={file}"))
    assert (
        "line 1: SIDECAR_TOKENS is no setting of the sidecar; write SIDECAR_TOKEN" in wrong.finding("settings")["what"]
    )
