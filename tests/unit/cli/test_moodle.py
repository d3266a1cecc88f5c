"""The command `moodle setup`: what it takes for address and token, and what it refuses before it touches a Moodle."""

import asyncio
import io
from pathlib import Path
from typing import Any

import pytest

from sidecar.cli import moodle
from sidecar.cli.main import main
from sidecar.core.errors import ConfigError
from sidecar.moodle.setup import Wish


def wish(*words: str, env: Path | None = None, provider: str = "sidecar") -> Wish:
    flags: dict[str, Any] = moodle._parser().read(["setup", "/moodle", f"--env-file={env or '/dev/null'}", *words])
    return asyncio.run(moodle._wish(flags, provider))


def env_file(folder: Path, *lines: str) -> Path:
    path = folder / "env"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_address_and_token_are_those_of_the_sidecars_settings(tmp_path: Path) -> None:
    """The provider's key is none of Moodle's business; an address to listen on becomes one to call."""
    env = env_file(tmp_path, "PORT=8099", "SIDECAR_TOKEN=of-the-site", "OPENAI_API_KEY=k")
    assert (wish(env=env).url, wish(env=env).token) == ("http://127.0.0.1:8099", "of-the-site")
    assert wish("--host=0.0.0.0", "--port=8100", env=env).url == "http://127.0.0.1:8100"
    assert wish("--url=http://10.0.0.5:8081/", env=env).url == "http://10.0.0.5:8081"
    assert wish(env=env, provider="openai").url == "http://127.77.0.1"


def test_without_a_token_moodles_stays_as_it_is() -> None:
    """A sidecar on loopback may have none; core's provider needs one."""
    assert wish("--port=1").token is None
    with pytest.raises(ConfigError, match="SIDECAR_TOKEN: not set"):
        wish(provider="openai")


def test_a_token_comes_from_a_file_or_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never from the command line, which every user of the machine can read."""
    (tmp_path / "token").write_text("of-a-file\n")
    assert wish("--port=1", f"--token-file={tmp_path}/token").token == "of-a-file"
    monkeypatch.setattr("sys.stdin", io.StringIO("of-a-pipe\n"))
    assert wish("--port=1", "--token-file=-").token == "of-a-pipe"


def test_placements_and_actions_are_names_that_exist() -> None:
    """Both placements where the flag has no names."""
    assert wish("--port=1", "--placements").placements == ("courseassist", "editor")
    assert wish("--port=1", "--placements=editor").placements == ("editor",)
    assert wish("--port=1").placements == ()
    assert wish("--port=1", "--actions=explain_text").actions == ("explain_text",)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--token-file=/no/such/file"], "--token-file=/no/such/file: cannot be read"),
        (["--placements=footer"], "--placements=footer: must be some of courseassist, editor"),
        (["--actions=generate_image"], "--actions=generate_image: must be some of"),
        (["--url=127.0.0.1:8081"], "--url=127.0.0.1:8081: must be"),
        (["--port=none"], "PORT=none: must be"),
    ],
)
def test_a_wrong_flag_is_said_before_anything_is_done(
    capsys: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    """Exit code 2; a folder without a Moodle is 1."""
    assert main(["moodle", "setup", "/no/such/moodle", "--env-file=/dev/null", *words]) == 2
    assert says in capsys.readouterr().err
    assert main(["moodle", "setup", "/no/such/moodle", "--env-file=/dev/null", "--port=1"]) == 1
    out, err = capsys.readouterr()
    assert (out, "there is no Moodle in /no/such/moodle" in err) == ("", True)
