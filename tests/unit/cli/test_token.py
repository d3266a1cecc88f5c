"""The command `token new`: what it prints, what it does to a file, and what it refuses."""

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from sidecar.cli.main import main
from sidecar.config.tokens import MOST_TOKENS, hash_of, read_tokens
from tests.support.paths import ROOT

FULL = "\n".join(f'[[token]]\nname = "t{number}"\nhash = "{hash_of(str(number))}"' for number in range(MOST_TOKENS))


def make(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(["token", *words])
    return code, *capsys.readouterr()


def new_token(capsys: pytest.CaptureFixture[str], name: str, file: Path) -> str:
    code, out, err = make(capsys, "new", name, "--file", str(file))
    assert (code, err) == (0, "")
    return out.splitlines()[2]


def test_a_token_is_shown_once_with_its_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """256 random bits; the lines have its hash."""
    code, out, _ = make(capsys, "new", "physics")
    token = out.splitlines()[2]
    assert (code, len(token)) == (0, len("oms_") + 43)
    assert out.endswith(f'\n[[token]]\nname = "physics"\nhash = "{hash_of(token)}"\n')
    assert make(capsys, "new", "physics")[1] != out


def test_a_file_gets_hashes_only(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A new file is its owner's alone, and nothing is left beside it."""
    file = tmp_path / "tokens.toml"
    tokens = [new_token(capsys, name, file) for name in ("physics", "chemistry")]
    faults: list[str] = []
    assert [f"sha256:{token.digest.hex()}" for token in read_tokens(str(file), faults).tokens] == [
        *map(hash_of, tokens)
    ]
    assert not faults
    assert not any(token in file.read_text() for token in tokens)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["tokens.toml"]


def test_an_old_file_stays_as_it_is(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Comments, limits and mode, also where the path is a link to it."""
    file, link = tmp_path / "tokens.toml", tmp_path / "link.toml"
    file.write_text("# the faculties\n[user]\nat_once = 2\n")
    file.chmod(0o640)
    link.symlink_to(file)
    new_token(capsys, "physics", link)
    assert file.read_text().startswith("# the faculties\n[user]\nat_once = 2\n\n[[token]]\n")
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert link.is_symlink()


@pytest.mark.parametrize(
    ("text", "name", "says"),
    [
        ("", "x y", "NAME=x y: must be 1 to 40 letters"),
        (f'[[token]]\nname = "b"\nhash = "{hash_of("b")}"\n', "b", "the file has a token of that name"),
        ("[user]\nat_once = 0\n", "b", "line 2: user.at_once=0: must be"),
        ("\xff", "b", ""),
    ],
)
def test_what_makes_no_sense_changes_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str, name: str, says: str
) -> None:
    """Exit code 2, with a line for each fault, and no token is shown."""
    file = tmp_path / "tokens.toml"
    file.write_text(text, encoding="latin-1")
    code, out, err = make(capsys, "new", name, "--file", str(file))
    assert (code, out, says in err) == (2, "", True)
    assert re.fullmatch(r"(openai-moodle-sidecar token: .*\n)+", err)
    assert file.read_text(encoding="latin-1") == text


@pytest.mark.parametrize("text", [FULL, "# long\n" * 9362], ids=["256 tokens", "64 KiB"])
def test_a_file_that_is_full_stays_as_it_is(capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str) -> None:
    """One token more, and the sidecar would read none of them at its next start."""
    file = tmp_path / "tokens.toml"
    file.write_text(text)
    code, out, err = make(capsys, "new", "b", "--file", str(file))
    assert (code, out) == (2, "")
    assert "must have at most 256 [[token]] tables" in err or "larger than 64 KiB" in err
    assert f"TOKENS_FILE={file}: " in err
    assert file.read_text() == text
    assert [path.name for path in tmp_path.iterdir()] == ["tokens.toml"]


def test_what_is_no_file_is_left_alone(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The superuser would replace a device such as /dev/null, and a pipe would be waited for."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert make(capsys, "new", "b", "--file", str(pipe))[:2] == (2, "")
    assert pipe.is_fifo()


def test_a_token_that_cannot_be_shown_is_not_added(tmp_path: Path) -> None:
    """A full disk behind stdout, or a closed one: the file would have a token that nobody knows."""
    file = tmp_path / "tokens.toml"
    command = f'"$@" --file {file}'
    for shell in (f"{command} >/dev/full", f"{command} >&-", f"{command} >&- 2>&-"):
        words = ["sh", "-c", shell, "sh", sys.executable, "-m", "sidecar", "token", "new", "b"]
        subprocess.run(words, cwd=ROOT, check=False, capture_output=True)
        assert not file.exists(), shell


def test_a_folder_that_is_not_there_is_said(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """As any file that cannot be written."""
    code, _, err = make(capsys, "new", "b", "--file", f"{tmp_path}/none/tokens.toml")
    assert code == 2
    assert "cannot be changed (No such file or directory)" in err


def test_a_bad_file_is_told_at_the_start(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 2 and every mistake, before anything listens."""
    file = tmp_path / "tokens.toml"
    file.write_text("[user]\nat_once = 0\n[[token]]\nname = 'x y'\n")
    monkeypatch.setenv("TOKENS_FILE", str(file))
    assert main(["--http-mode", "--port=0", "--api-key=x", "--env-file=/dev/null"]) == 2
    err = capsys.readouterr().err
    assert "line 2: user.at_once=0" in err
    assert "line 3: hash: required" in err
