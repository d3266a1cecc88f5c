"""Promises of the doctor about PHP's side: the plugin's address and its command, tried as PHP would."""

import os
from pathlib import Path

import pytest

from sidecar.demo.provider import Demo
from tests.support.doctor_command import at, report
from tests.support.php import script
from tests.support.server_process import Served, served


async def test_the_plugins_address_is_tried_as_php_would(demo: Demo, tmp_path: Path) -> None:
    """A dead port, another service, a token that the plugin cannot send, an error status where it wants 200, a name."""
    words = (*at(demo), "--sidecar-token=token-canary")
    dead = await report(*words, OPENAI_SIDECAR_HTTP_URL="http://127.0.0.1:1/ai")
    assert "starts a process for each click" in dead.finding("plugin's URL")["what"]
    assert "OPENAI_SIDECAR_HTTP_URL" in dead.finding("plugin's URL")["what"]
    foreign = await report(*words, f"--php-url={demo.url}/ai")
    assert "not the sidecar's" in foreign.finding("plugin's URL")["what"]
    async with served(*words, "--ai-require-token") as server:
        guarded = await report(*words, f"--php-url={url(server)}")
        assert "token" in guarded.finding("plugin's URL")["do"]
        named = url(server).replace("http://", "http://moodle:token-canary@")
        assert (await report(*words, f"--php-url={named}")).state("plugin's URL") == "ok"
    async with served(*words, "--strict-status") as server:
        strict = await report(*words, f"--php-url={url(server)}")
        assert "STRICT_STATUS" in strict.finding("plugin's URL")["do"]
        # Short for 127.0.0.1, and to the server no address: a name of 127.0.0.1 that every machine has.
        name = await report(*words, f"--php-url=http://127.1:{server.port}/ai")
        assert "ALLOWED_HOSTS" in name.finding("plugin's URL")["do"]
    assert [one.code for one in (dead, foreign, guarded, strict, name)] == [1] * 5


def url(server: Served) -> str:
    return f"http://{server.host}:{server.port}/ai"


@pytest.mark.parametrize(
    ("body", "state", "words"),
    [
        (
            "print('openai-moodle-sidecar 0.0.1') if '--version' in sys.argv else sys.exit(main())",
            "failed",
            "exit code 2",
        ),
        ("sys.exit(3)", "failed", "exit code 3"),
        ("print('hello')", "failed", "no reply"),
    ],
)
async def test_the_plugins_command_is_tried_as_php_would(
    demo: Demo, tmp_path: Path, body: str, state: str, words: str
) -> None:
    """With an empty environment: a command without a key, one that is broken, one that is something else."""
    path = script(tmp_path / "some", body)
    said = await report(*at(demo), f"--php-command={path}")
    found = [finding for finding in said.json["findings"] if finding["check"] == "plugin's command"]
    assert found[-1]["state"] == state
    assert words in found[-1]["what"]
    if "0.0.1" in body:
        assert (found[0]["state"], "0.0.1" in found[0]["what"]) == ("warning", True)


async def test_a_command_that_may_not_be_run_is_said(demo: Demo, tmp_path: Path) -> None:
    """A missing bit, and a user who does not exist."""
    path = script(tmp_path / "some", "")
    path.chmod(0o644)
    said = await report(*at(demo), f"--php-command={path}")
    assert "does not run" in said.finding("plugin's command")["what"]
    said = await report(*at(demo), f"--php-command={path}", "--php-user=nobody-at-all")
    assert "no user" in said.finding("plugin's command")["what"]


async def test_phps_user_may_see_less(demo: Demo, tmp_path: Path) -> None:
    """Root tries the command as that user; another user says that only root can."""
    path = script(tmp_path / "some", "print('hello')")  # in a folder of the tests' user only
    said = await report(*at(demo), f"--php-command={path}", "--php-user=nobody")
    first = next(finding for finding in said.json["findings"] if finding["check"] == "plugin's command")
    assert ("does not run" if os.geteuid() == 0 else "only root") in first["what"]
