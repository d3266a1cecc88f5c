"""Promises of start-server.sh: when it installs anew, what it leaves alone, and installs that fail or meet."""

import os
import signal

from tests.support.start_script_site import Site, installing, told


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
    ready.broken.write_text("no route to the index\n")

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


def test_an_install_that_fails_says_what_to_do(site: Site) -> None:
    """In its last line, below pip's own words: the network, a certificate or the disk."""
    site.python()
    for said, advice in (
        ("WARNING: Retrying: Failed to establish a new connection: [Errno 111]", "PIP_INDEX_URL"),
        ("WARNING: Retrying: NameResolutionError(Failed to resolve)", "HTTPS_PROXY"),
        ("SSLError(1, '[SSL: CERTIFICATE_VERIFY_FAILED]", "PIP_CERT"),
        ("ERROR: Could not install packages: [Errno 28] No space left on device", "the disk is full"),
        ("ERROR: something new", "the lines above say why"),
    ):
        site.broken.write_text(f"{said}\n")
        lines = site.start().stderr.splitlines()
        assert said in lines
        assert lines[-1].startswith("The install did not finish: ")
        assert advice in lines[-1]
        assert lines[-1].endswith("Then start again.")


def test_a_folder_that_cannot_be_written_is_told(site: Site) -> None:
    """A file stands in for a read-only file system, which a test cannot mount. Installed once, nothing is written."""
    site.python()
    (site.tree / ".venvs").write_text("")

    result = site.start()

    assert result.returncode == 1
    assert f"Nothing can be written to {site.tree}/.venvs" in result.stderr
    assert "user who owns this folder" in result.stderr
    assert result.stdout == ""


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
