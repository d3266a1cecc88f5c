"""Promises of running Moodle's PHP: no secret where another program can read it, and clear words where PHP fails."""

import json
from pathlib import Path
from typing import Any

import pytest

from sidecar.cli.main import main
from sidecar.moodle import program
from sidecar.moodle.errors import MoodleError
from sidecar.moodle.program import in_checkout, staged
from sidecar.moodle.site import Site
from tests.support.paths import ROOT
from tests.support.php import script

VERSION = "<?php\n$plugin->component = 'aiprovider_sidecar';\n$plugin->version = 2026112900;\n"
ANSWER = {"facts": {"release": "5.1", "branch": 501, "has_ai": True, "plugin_installed": "2026112900"}}


def php(folder: Path, answer: dict[str, Any]) -> Path:
    """Write a program in PHP's place, which notes how it was started, and answers in a Moodle's noise."""
    return script(
        folder / "php",
        f"with open({str(folder / 'seen')!r}, 'a') as file:\n"
        "    seen = {'argv': sys.argv, 'env': dict(os.environ), 'stdin': sys.stdin.read()}\n"
        "    file.write(json.dumps(seen) + '\\n')\n"
        f"print('Notice: something\\n\\x1e' + {json.dumps(answer)!r} + '\\nmore')",
    )


def moodle(folder: Path) -> Site:
    for name in ("config.php", "lib/setup.php", "ai/provider/sidecar/version.php"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(
            "<?php\n$plugin->component = 'aiprovider_sidecar';\n$plugin->version = 2026112900;\n"
        )
    return Site(folder, folder)


def test_the_token_is_in_standard_input_alone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Neither the words nor the environment of PHP hold it, or any other setting; nor does the output."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-key")
    monkeypatch.setenv("SIDECAR_TOKEN", "canary-token")
    monkeypatch.setenv("MOODLE_DATABASE", "of the site")
    site = moodle(tmp_path / "moodle")
    monkeypatch.setattr("sidecar.cli.moodle.php_user", lambda *_: None)
    words = [f"--php={php(tmp_path, ANSWER)}", f"--plugin={site.plugin}", "--url=http://127.0.0.1:1"]
    main(["moodle", "setup", str(site.root), *words, "--env-file=/dev/null"])
    seen = [json.loads(line) for line in (tmp_path / "seen").read_text().splitlines()]
    assert [json.loads(one["stdin"])["do"] for one in seen] == ["look", "setup", "look"]
    assert json.loads(seen[1]["stdin"])["token"] == "canary-token"
    assert "canary" not in json.dumps([[one["argv"], one["env"]] for one in seen])
    assert all(one["env"]["MOODLE_DATABASE"] == "of the site" for one in seen)
    out, err = capsys.readouterr()
    assert "canary" not in out + err


def test_what_the_program_says_of_a_failure_is_passed_on(tmp_path: Path) -> None:
    """And the copy that PHP read is gone."""
    site = moodle(tmp_path / "moodle")
    with staged(site, None, str(php(tmp_path, {"error": "It failed."}))) as running:
        assert (running.stage / "moodle-setup.php").read_bytes() == (ROOT / program.SCRIPT).read_bytes()
        with pytest.raises(MoodleError, match=r"It failed\."):
            running.call("look")
    assert not running.stage.exists()


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("sys.stderr.write('Error: no database\\n'); sys.exit(1)", "Error: no database"),
        ("print('<html>')", "<html>|no answer"),
        ("print('\\x1e[1]')", "unknown answer"),
        ("pass", "exit code 0"),
    ],
)
def test_a_php_without_an_answer_is_said(tmp_path: Path, body: str, says: str) -> None:
    """With its last words."""
    broken = script(tmp_path / "php", body)
    with staged(moodle(tmp_path / "moodle"), None, str(broken)) as running, pytest.raises(MoodleError, match=says):
        running.call("look")


def test_without_php_or_checkout_the_way_out_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An install from a wheel has no PHP program: it has Moodle's licence."""
    site = moodle(tmp_path / "moodle")
    with pytest.raises(MoodleError, match="there is no /no/such/php"), staged(site, None, "/no/such/php"):
        pass
    assert in_checkout(program.SCRIPT) == ROOT / program.SCRIPT
    monkeypatch.setattr(program, "__file__", str(tmp_path / "a/b/c.py"))
    monkeypatch.setattr("sys.prefix", str(tmp_path / "env"))
    with pytest.raises(MoodleError, match="comes with a checkout only"), staged(site, None, "/bin/sh"):
        pass


def test_an_environment_inside_the_checkout_finds_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`./start-server.sh` installs a copy there."""
    monkeypatch.setattr(program, "__file__", str(tmp_path / "site-packages/sidecar/moodle/program.py"))
    monkeypatch.setattr("sys.prefix", str(ROOT / ".venvs/run-1"))
    assert in_checkout(program.SCRIPT) == ROOT / program.SCRIPT
