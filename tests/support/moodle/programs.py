"""Programs of a test site: run under an account without rights, logged to a file, and ended with the tests."""

import contextlib
import os
import random
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Final

ACCOUNT: Final = "www-data"
"""Debian's account for web servers: PostgreSQL and PHP-FPM refuse to serve as root."""
PATIENCE: Final = 600.0
"""Seconds after which a command has failed; the installation takes two minutes on an idle machine."""
_PORTS: Final = range(20_000, 32_000)
_PATH: Final = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin"
"""Debian installs servers in folders that only root's PATH names."""

_LOW_PORT: Final = "+net_bind_service"
"""Right to listen on a port below 1024."""


def program(pattern: str) -> str:
    """Return the newest program, in PostgreSQL's folders or on the PATH, whose name matches `pattern`."""
    # PostgreSQL's own folder first: Debian's psql on the PATH is a script around it.
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    folders += [Path(folder) for folder in _PATH.split(os.pathsep)]
    found = [path for folder in folders for path in sorted(folder.glob(pattern), reverse=True)]
    assert found, f"{pattern} is not installed; docs/moodle-tests.md lists the packages"
    return str(found[0])


def command(*words: str | Path, low_port: bool = False) -> list[str]:
    """Return a command line under the site's account, whose process is killed when this one dies."""
    root = os.geteuid() == 0
    account = (f"--reuid={ACCOUNT}", f"--regid={ACCOUNT}", "--clear-groups") if root else ()
    right = (f"--inh-caps={_LOW_PORT}", f"--ambient-caps={_LOW_PORT}") if root and low_port else ()
    return ["setpriv", *account, *right, "--pdeathsig=KILL", "--", *map(str, words)]


def environment(folder: Path) -> dict[str, str]:
    return {"PATH": _PATH, "HOME": str(folder), "LANG": "C.UTF-8"}


def run(*words: str | Path, folder: Path, text: str = "") -> str:
    """Return what the command wrote on stdout; its failure shows both outputs."""
    done = subprocess.run(
        command(*words),
        cwd=folder,
        env=environment(folder),
        input=text,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, f"{words}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def give(path: Path) -> None:
    """Make the site's account the owner of a folder and all in it."""
    if os.geteuid() == 0:
        subprocess.run(["chown", "--recursive", f"{ACCOUNT}:{ACCOUNT}", path], check=True)


def free_port() -> int:
    """Return a port that nobody listens on, below those that connections take, so that a restart finds it free."""
    for port in random.sample(_PORTS, len(_PORTS)):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("all ports are in use")


class Background:
    """A server's process, with its output in a file; with `low_port` it may listen on a port below 1024."""

    def __init__(self, *words: str | Path, folder: Path, log: Path, low_port: bool = False) -> None:
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                command(*words, low_port=low_port),
                cwd=folder,
                env=environment(folder),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )

    def stop(self) -> None:
        """End the process by SIGINT, at which all three servers stop at once."""
        self.process.send_signal(2)
        self.process.wait(60)


def copy(source: Path, target: Path) -> None:
    """Copy a tree, as links to the same blocks where the file system can."""
    subprocess.run([shutil.which("cp") or "cp", "--archive", "--reflink=auto", source, target], check=True)
