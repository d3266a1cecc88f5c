"""The command line's own answers: help, words that are no command, flags that are not there."""

import pytest

from sidecar.cli.help import full_help, short_help
from sidecar.cli.main import COMMANDS, main
from sidecar.config.settings import SETTINGS


@pytest.mark.parametrize(
    ("word", "advice"),
    [
        ("serve", "--http-mode"),
        ("start", "--http-mode"),
        ("healthcheck", "/health"),
        ("docter", "did you mean doctor?"),
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
    [("--openai-api-key=sk-canary", "--api-key"), ("--base-ur", "--base-url"), ("--Port=1", "--port")],
)
def test_a_misspelled_flag_is_told_the_right_one(flag: str, meant: str, capsys: pytest.CaptureFixture[str]) -> None:
    """And its value is not shown."""
    with pytest.raises(SystemExit) as ended:
        main(["--http-mode", flag])
    assert ended.value.code == 2
    shown = capsys.readouterr().err
    assert f"did you mean {meant}?" in shown
    assert "canary" not in shown
