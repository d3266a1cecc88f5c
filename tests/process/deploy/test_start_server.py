"""start-server.sh and scripts/venv.sh: the real scripts, with stand-ins for Python's venv and pip.

PATH holds the tools the scripts may use and no others. The stand-in Python notes every install, makes a command that
tells how it was started, and leaves all else to the real one. A real install is what `make test` itself starts with.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.paths import ROOT

TOOLS = ["sh", "cat", "cp", "cut", "dirname", "find", "ln", "mkdir", "mv", "readlink", "rm", "sha256sum", "sort"]

PYTHON = """#!/bin/sh
case "$*" in
-V) echo "Python {version}" ;;
"-c import ensurepip, venv") {venv} ;;
"-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
"-m pip install "*)
    echo "$*" >>"{notes}"
    [ ! -p "{gate}" ] || cat "{gate}"
    [ ! -e "{broken}" ] || {{ echo "no route to the index" >&2; exit 1; }}
    case "$*" in *--no-deps*) cp "{command}" "${{0%/*}}/openai-moodle-sidecar" ;; esac
    ;;
*) exec "{real}" "$@" ;;
esac
"""

COMMAND = """
import json, os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
print(json.dumps({"pid": os.getpid(), "args": sys.argv[1:], "cwd": os.getcwd()}), flush=True)
if "--wait" in sys.argv:
    signal.sigwait({signal.SIGTERM})
    print("terminated")
sys.exit(2 if "--fail" in sys.argv else 0)
"""


class Site:
    """A checkout in a folder with a space in its name, on a machine with nothing else on PATH."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.tree = base / "a site"
        self.bin = base / "bin"
        self.notes = base / "notes"
        self.gate = base / "gate"
        self.broken = base / "broken"
        ignore = shutil.ignore_patterns(".*", "tests", "benchmarks", "docs", "__pycache__", "*.egg-info", "build")
        shutil.copytree(ROOT, self.tree, ignore=ignore)
        self.bin.mkdir()
        for tool in TOOLS:
            found = shutil.which(tool)
            assert found, tool
            (self.bin / tool).symlink_to(found)
        (base / "command.py").write_text(COMMAND)
        self.executable(base / "command", f'#!/bin/sh\nexec "{sys.executable}" "{base}/command.py" "$@"\n')

    def python(self, name: str = "python3", version: str = "3.11.9", *, venv: bool = True) -> Path:
        """Puts a Python of that version on PATH."""
        text = PYTHON.format(
            version=version,
            venv="true" if venv else "false",
            notes=self.notes,
            gate=self.gate,
            broken=self.broken,
            command=self.base / "command",
            real=sys.executable,
        )
        return self.executable(self.bin / name, text)

    @staticmethod
    def executable(path: Path, text: str) -> Path:
        path.write_text(text)
        path.chmod(0o755)
        return path

    def popen(
        self, *args: str, script: Path | None = None, cwd: Path | None = None, **env: str
    ) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [str(script or self.tree / "start-server.sh"), *args],
            env={"PATH": str(self.bin), **env},
            cwd=cwd or self.base,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def start(self, *args: str, **more: Any) -> "subprocess.CompletedProcess[str]":
        with self.popen(*args, **more) as process:
            out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(args, process.returncode, out, err)

    def installs(self) -> list[str]:
        """What pip was asked since the last call, one line a time."""
        lines = self.notes.read_text().splitlines() if self.notes.exists() else []
        self.notes.unlink(missing_ok=True)
        return lines

    def append(self, name: str, text: str) -> None:
        with (self.tree / name).open("a") as file:
            file.write(text)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture
def ready(site: Site) -> Site:
    """A site that was started once."""
    site.python()
    assert site.start().returncode == 0
    site.installs()
    return site


def told(result: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    """What the command told about its start."""
    assert result.returncode == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


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


def test_a_changed_lock_installs_anew(ready: Site) -> None:
    """And going back to the one before, as a rollback does, needs no index."""
    before = (ready.tree / "requirements.lock").read_text()
    ready.append("requirements.lock", "# changed\n")
    ready.start()
    assert len(ready.installs()) == 2

    (ready.tree / "requirements.lock").write_text(before)
    ready.start()
    assert all("--no-deps" in line for line in ready.installs())


def test_changed_code_installs_the_project_alone(ready: Site) -> None:
    """An upgrade or an edit takes no download when the lock did not change, and going back takes nothing at all."""
    before = (ready.tree / "sidecar/__init__.py").read_text()
    ready.append("sidecar/__init__.py", "# changed\n")
    ready.start()
    (project,) = ready.installs()
    assert "--no-deps" in project

    (ready.tree / "sidecar/__init__.py").write_text(before)
    assert told(ready.start())
    assert ready.installs() == []


def test_changed_code_leaves_the_one_in_use_alone(ready: Site) -> None:
    """One-shot processes start all the while, a running server finds its own modules, and the new commands name
    their own place.
    """
    in_use = (ready.tree / ".venv").resolve()
    ready.executable(in_use / "bin/tool", f"#!{in_use}/bin/python\n")
    ready.append("sidecar/__init__.py", "# changed\n")

    with installing(ready) as start:
        assert (ready.tree / ".venv").resolve() == in_use
        assert os.access(in_use / "bin/openai-moodle-sidecar", os.X_OK)
        (in_use / "bin/openai-moodle-sidecar").write_text("untouched")

    assert start.returncode == 0
    now = (ready.tree / ".venv").resolve()
    assert now != in_use
    assert (now / "bin/tool").read_text() == f"#!{now}/bin/python\n"
    assert (in_use / "bin/openai-moodle-sidecar").read_text() == "untouched"


def test_an_environment_whose_python_is_gone_is_made_anew(ready: Site) -> None:
    """A Python that was updated may stand somewhere else, under the same version."""
    (ready.tree / ".venv/bin/python").unlink()

    assert told(ready.start())["args"] == ["--http-mode"]
    assert len(ready.installs()) == 2


def test_a_changed_python_installs_anew(ready: Site) -> None:
    """An environment belongs to one minor version of Python; PYTHON says which is wanted."""
    other = ready.python("python3.13", "3.13.1")
    ready.start(PYTHON=str(other))
    assert len(ready.installs()) == 2

    ready.start(PYTHON=str(other))
    assert ready.installs() == []


def test_a_moved_checkout_installs_anew(ready: Site) -> None:
    """Commands in an environment name its place."""
    ready.tree = ready.tree.rename(ready.base / "another site")

    assert told(ready.start())["args"] == ["--http-mode"]
    assert len(ready.installs()) == 2


def test_a_failed_install_says_so_and_leaves_the_last_good_one(ready: Site) -> None:
    """The one-shot processes of a running site keep their command; the next start tries again."""
    in_use = (ready.tree / ".venv").readlink()
    ready.append("requirements.lock", "# changed\n")
    ready.broken.touch()

    result = ready.start()

    assert result.returncode == 1
    assert "no route to the index" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("The install did not finish")
    assert result.stdout == ""
    assert (ready.tree / ".venv").readlink() == in_use

    ready.installs()
    ready.broken.unlink()
    assert told(ready.start())
    assert len(ready.installs()) == 2


def test_a_killed_install_is_done_again(site: Site) -> None:
    """Half an environment is never taken for a whole one."""
    site.python()
    with installing(site) as first:
        os.killpg(first.pid, signal.SIGKILL)
    site.installs()

    assert told(site.start())["args"] == ["--http-mode"]
    assert len(site.installs()) == 2


def test_two_starts_at_once_install_once(site: Site) -> None:
    """The second says that it waits, and then finds all done."""
    site.python()
    with installing(site) as first:
        second = site.popen()
        assert second.stderr
        assert "Waiting" in second.stderr.readline()
    with second:
        second.communicate(timeout=60)
    assert first.returncode == second.returncode == 0
    assert len(site.installs()) == 2


@contextlib.contextmanager
def installing(site: Site) -> Iterator["subprocess.Popen[str]"]:
    """A start whose pip stands still until the block is left."""
    os.mkfifo(site.gate)
    with site.popen() as process:
        with site.gate.open("w"):  # opens once pip stands at the gate
            site.gate.unlink()
            yield process
        process.communicate(timeout=60)


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
