"""Promises of start-server.sh and scripts/venv.sh: the first start, flags and signals, and the Python that is taken."""

import json
import signal

import pytest

from tests.support.start_script_site import Site, told


def test_the_first_start_installs_from_the_lock_and_serves(site: Site) -> None:
    """Fresh machine, one command: what is locked with hashes and never built, then the project alone; then HTTP."""
    site.python()

    result = site.start()

    requirements, project = site.installs()
    assert requirements.endswith("--require-hashes --only-binary :all: -r requirements.lock")
    assert "--no-deps --no-build-isolation" in project
    assert told(result)["args"] == ["--http-mode"]
    assert result.stderr.count("\n") == 1


def test_a_second_start_installs_nothing_and_says_nothing(ready: Site) -> None:
    """Only the program itself writes then."""
    result = ready.start()

    assert told(result)["args"] == ["--http-mode"]
    assert ready.installs() == []
    assert result.stderr == ""


def test_flags_and_the_exit_code_pass_through(ready: Site) -> None:
    """Flags arrive as they were given, with white space, blanks and patterns; the program's exit code comes back."""
    flags = ["--demo", "--model", "a b", "", "*", "--help"]

    assert told(ready.start(*flags))["args"] == ["--http-mode", *flags]
    assert ready.start("--fail").returncode == 2


def test_a_first_word_without_a_dash_is_a_command(ready: Site) -> None:
    """`./start-server.sh doctor --port=8081` is the doctor; only serving is told to serve HTTP."""
    assert told(ready.start("doctor", "--port=8081"))["args"] == ["doctor", "--port=8081"]
    assert told(ready.start("--port=8081", "doctor"))["args"] == ["--http-mode", "--port=8081", "doctor"]


def test_signals_reach_the_program(ready: Site) -> None:
    """The program has the process that was started: no shell is left in between."""
    with ready.popen("--wait") as process:
        assert process.stdout
        assert json.loads(process.stdout.readline())["pid"] == process.pid
        process.send_signal(signal.SIGTERM)
        assert process.stdout.read() == "terminated\n"
    assert process.returncode == 0


def test_it_starts_from_anywhere(ready: Site) -> None:
    """Through a link, from another folder, which stays the program's own: relative paths in flags are the caller's."""
    link = ready.base / "link"
    link.symlink_to(ready.tree / "start-server.sh")

    assert told(ready.start(script=link, cwd=ready.bin))["cwd"] == str(ready.bin)
    assert ready.installs() == []


@pytest.mark.parametrize(
    ("pythons", "said"),
    [
        ({}, "there is no python3"),
        ({"python3": "3.9.2"}, "python3 is Python 3.9"),
        ({"python3": "3.10.13"}, "python3 is Python 3.10"),
        ({"python3": "2.7.18"}, "python3 is Python 2.7"),
    ],
)
def test_without_a_new_enough_python_it_says_what_is_needed(site: Site, pythons: dict[str, str], said: str) -> None:
    """What was found, what is needed, and how to name another."""
    for name, version in pythons.items():
        site.python(name, version)

    result = site.start()

    assert result.returncode == 1
    assert "Python 3.11 or newer is needed" in result.stderr
    assert said in result.stderr
    assert "PYTHON=" in result.stderr
    assert not (site.tree / ".venv").is_symlink()


def test_an_old_python3_does_not_hide_a_newer_python(site: Site) -> None:
    """Systems that keep an old python3 often have a newer one beside it."""
    site.python("python3", "3.9.2")
    site.python("python3.12", "3.12.1")

    assert told(site.start())


def test_a_named_python_is_the_only_one_tried(site: Site) -> None:
    """A named one that will not do is reported."""
    site.python()
    old = site.python("old-python", "3.8.18")

    result = site.start(PYTHON=str(old))

    assert result.returncode == 1
    assert "old-python is Python 3.8" in result.stderr


def test_a_python_without_venv_is_distinguished_from_an_old_one(site: Site) -> None:
    """Debian ships Python without it; the message names the package."""
    site.python(venv=False)

    result = site.start()

    assert result.returncode == 1
    assert "install the package python3-venv" in result.stderr


def test_a_folder_in_the_way_is_left_alone(site: Site) -> None:
    """A .venv that somebody made by hand is not replaced."""
    site.python()
    (site.tree / ".venv").mkdir()

    result = site.start()

    assert result.returncode == 1
    assert "move it away" in result.stderr
    assert site.installs() == []


def test_the_environment_for_tests_is_another(ready: Site) -> None:
    """Test tools never get into the environment that serves, and a test run never changes it."""
    in_use = (ready.tree / ".venv").readlink()
    result = ready.start("dev", script=ready.tree / "scripts/venv.sh")

    requirements, project = ready.installs()
    assert result.returncode == 0
    assert requirements.endswith("-r requirements-dev.lock")
    assert project.endswith("--editable .")
    assert (ready.tree / ".venv").readlink() == in_use
    assert (ready.tree / ".venv-dev").is_symlink()
