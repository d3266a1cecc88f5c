"""The command line's own answers: help, words that are no command, flags that are not there."""

import subprocess
import sys

import pytest

from sidecar.cli.help import full_help, short_help
from sidecar.cli.main import COMMANDS, main
from sidecar.config.settings import SETTINGS
from tests.support.paths import ROOT


@pytest.mark.parametrize(
    ("word", "advice"),
    [
        ("serve", "--http-mode"),
        ("start", "--http-mode"),
        ("healthcheck", "/health"),
        ("docter", "did you mean doctor?"),
        ("help", "take --help"),
        ("version", "take --version"),
        ("nonsense", "see --help"),
    ],
)
def test_a_word_that_is_no_command_is_told_what_to_write(
    word: str, advice: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Even with --help behind it, which would be the help of something else."""
    assert main([word, "--help"]) == 2
    shown = capsys.readouterr()
    assert advice in shown.err
    assert f"there is no command {word}" in shown.err
    assert (shown.out, shown.err.count("\n")) == ("", 1)


def test_a_command_in_capitals_is_told_the_right_one(capsys: pytest.CaptureFixture[str]) -> None:
    """Without the word itself, which may be a key."""
    assert main(["Doctor"]) == 2
    assert capsys.readouterr().err == "openai-moodle-sidecar: there is no such command; did you mean doctor?\n"


def test_a_command_behind_a_flag_is_told_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    """As in `./start-server.sh --port=8081 doctor`; the value of a flag may be a command's name."""
    with pytest.raises(SystemExit) as ended:
        main(["--http-mode", "--model", "worker", "--port=8081", "doctor"])
    assert ended.value.code == 2
    assert "the command doctor goes before every flag" in capsys.readouterr().err


@pytest.mark.parametrize("word", ["sk-Canary0", "canary " * 3, "", "canary" * 9])
def test_a_word_that_may_be_a_key_is_not_shown(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Only short words of small letters are."""
    assert main([word]) == 2
    assert "anary" not in capsys.readouterr().err


def test_help_is_short_and_names_everything(capsys: pytest.CaptureFixture[str]) -> None:
    """One screen or so: each flag by its name under its subject, each command with its meaning."""
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert len(text.splitlines()) <= 65
    assert max(map(len, text.splitlines())) <= 100
    assert all(setting.option in text for setting in SETTINGS)
    assert all(f"\n  {name}" in text for name in COMMANDS)
    assert text.isascii()


def test_a_command_or_setting_without_words_of_its_own_is_listed_all_the_same() -> None:
    """One that is new does not break the help."""
    for text in (short_help([*COMMANDS, "brand-new"]), full_help(["brand-new"])):
        assert "\n  brand-new\n" in text


def test_all_help_explains_everything(capsys: pytest.CaptureFixture[str]) -> None:
    """Variable, meaning and default of every setting, the way people write them."""
    assert main(["--help-all"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    for setting in SETTINGS:
        assert f"{setting.help} (variable {setting.name}" in text
    assert "default: 128MiB)" in text
    assert "default: 25)" in text


@pytest.mark.parametrize(
    ("flag", "meant"),
    [
        ("--openai-api-key=sk-canary", "--api-key"),
        ("--base-ur", "--base-url"),
        ("--Port=1", "--port"),
        ("--api-base=http://canary", "--base-url"),
        ("--key=canary", "--api-key"),
        ("--timeout=5", "--request-timeout"),
        ("--redis=redis://:canary@there", "--redis-url"),
        ("--workers=4", "--processes"),
        ("-p=8081", "--port"),
    ],
)
def test_a_misspelled_flag_is_told_the_right_one(flag: str, meant: str, capsys: pytest.CaptureFixture[str]) -> None:
    """And its value is not shown."""
    with pytest.raises(SystemExit) as ended:
        main(["--http-mode", flag])
    assert ended.value.code == 2
    shown = capsys.readouterr().err
    assert f"did you mean {meant}?" in shown
    assert "canary" not in shown


@pytest.mark.parametrize(
    ("words", "where", "code", "reason"),
    [
        ("--help-all", ">/dev/full", 1, "No space left on device"),
        ("--version", ">/dev/full", 1, "No space left on device"),
        ("batch --help", ">/dev/full", 1, "No space left on device"),
        ("--help", ">&-", 1, "it is closed"),
        ("--help", ">&- 2>&-", 1, ""),
        ("usage --help", "| true", 0, ""),
        ("doctor --help", "| true", 0, ""),
    ],
)
def test_an_output_that_cannot_be_written_is_told_in_a_line(words: str, where: str, code: int, reason: str) -> None:
    """Without a traceback, nor the interpreter's "Exception ignored"; a reader that left is no fault."""
    script = f"{sys.executable} -m sidecar {words} {where}; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    lines = done.stderr.splitlines()
    assert (done.returncode, len(lines)) == (code, bool(reason))
    assert all(f"standard output cannot be written ({reason})" in line for line in lines)
