"""The Python behind a command: found through links and first lines, and what keeps a user from it is named."""

from pathlib import Path

import pytest

from sidecar.doctor.interpreter import User, behind, check, me, obstacle

STRANGER = User(65_534, {65_534})


def site(tmp_path: Path, *, python: str, tree: str = "opt") -> Path:
    """Return the command of a checkout in `tree`, whose environment links to a Python in the folder `python`."""
    real, link, command = (
        tmp_path / python / "bin/python3",
        tmp_path / tree / ".venv/bin/python",
        tmp_path / tree / "command",
    )
    for path in (real, link, command):
        path.parent.mkdir(parents=True, exist_ok=True)
    real.write_text("")
    real.chmod(0o755)
    link.symlink_to(real)
    command.write_text(f"#!{link}\nimport sys\n")
    command.chmod(0o755)
    for folder in tmp_path.parents:
        if folder.owner() == tmp_path.owner() and folder.name.startswith(("pytest", "popen")):
            folder.chmod(0o755)
    tmp_path.chmod(0o755)
    return command


def test_a_python_in_a_home_is_told_apart_and_the_home_stays_closed(tmp_path: Path) -> None:
    """Whoever opens a home for a web server's user opens more than a Python."""
    command = site(tmp_path, python="home/anna/.pyenv")
    homes = [str(tmp_path / "home")]
    assert obstacle(command, STRANGER, homes) is None
    (tmp_path / "home/anna").chmod(0o700)
    found = obstacle(command, STRANGER, homes)
    assert found is not None
    assert f"may not enter the home {tmp_path}/home/anna" in found[0]
    assert "PYTHON=/usr/bin/python3" in found[1]
    assert "chmod" not in found[1]
    assert obstacle(command, me(), homes) is None


def test_a_checkout_in_a_home_moves_out(tmp_path: Path) -> None:
    """The command itself is out of reach then."""
    command = site(tmp_path, python="usr", tree="home/anna/sidecar")
    (tmp_path / "home/anna").chmod(0o700)
    found = obstacle(command, STRANGER, [str(tmp_path / "home")])
    assert found is not None
    assert "move the checkout to /opt" in found[1]


def test_a_closed_folder_that_is_no_home_is_named(tmp_path: Path) -> None:
    """Here a chmod is right, and it names one folder."""
    command = site(tmp_path, python="usr")
    (tmp_path / "opt/.venv").chmod(0o750)
    assert obstacle(command, STRANGER, []) == (
        f"its Python is {tmp_path}/usr/bin/python3, and this user may not pass {tmp_path}/opt/.venv",
        f"chmod 755 {tmp_path}/opt/.venv",
    )
    command.chmod(0o644)
    found = obstacle(command, STRANGER, [])
    assert found is not None
    assert found[1] == f"chmod 755 {command}"


def test_a_python_that_is_gone_is_named(tmp_path: Path) -> None:
    """An upgrade of the distribution took it away."""
    command = site(tmp_path, python="usr")
    (tmp_path / "usr/bin/python3").unlink()
    found = obstacle(command, me(), [])
    assert found is not None
    assert "there is no" in found[0]
    assert "start-server.sh" in found[1]


def test_an_install_whose_python_is_in_a_home_is_noted(tmp_path: Path) -> None:
    """Before PHP or systemd stumble over it."""
    command = site(tmp_path, python="home/anna/.pyenv")
    found = check(command, [str(tmp_path / "home")])
    assert found is not None
    assert f"in the home {tmp_path}/home/anna" in found.what
    assert check(command, ["/nowhere"]) is None
    assert obstacle(Path("/"), me()) is None


@pytest.mark.parametrize(
    ("first", "python"),
    [
        ("#!/opt/x/bin/python -I\n", "/opt/x/bin/python"),
        ("#!/bin/sh\n'''exec' \"/a site/bin/python\" \"$0\" \"$@\"\n' '''\n", "/a site/bin/python"),
        ("#!/bin/sh\n'''exec' /long/bin/python \"$0\" \"$@\"\n' '''\n", "/long/bin/python"),
        ("import sys\n", None),
        ("", None),
    ],
)
def test_first_lines_as_pip_writes_them_are_read(tmp_path: Path, first: str, python: str | None) -> None:
    """With a blank in the path, or longer than the kernel takes, the second line names the Python."""
    command = tmp_path / "command"
    command.write_text(first)
    assert behind(command) == (Path(python) if python else None)
    assert behind(tmp_path / "none") is None
