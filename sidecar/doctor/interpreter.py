"""Python behind the installed command, and what keeps a user from it: often a home that only its owner may enter."""

import os
import re
import stat
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from sidecar.doctor.findings import Finding

HOMES: Final = ("/root", "/home")
_FIRST_LINES: Final = 4096
_PLAIN: Final = re.compile(rb"#! *(/[^\s]+)")
_LONG: Final = re.compile(rb"""#!/bin/sh\n'''exec' "?(/[^"\n]+?)"? "\$0\"""")
"""First lines that pip writes where the path has a blank in it, or is too long for the kernel."""
_ANOTHER_PYTHON: Final = (
    "install Python 3.11 or newer from the distribution's packages and run PYTHON=/usr/bin/python3 ./start-server.sh; "
    "leave the home closed"
)
_ANOTHER_FOLDER: Final = "move the checkout to /opt/openai-moodle-sidecar, install there and link that command"


class User(NamedTuple):
    """User and groups that a command runs as."""

    uid: int
    groups: Collection[int]


def me() -> User:
    """Return this process's own user."""
    return User(os.geteuid(), {os.getegid(), *os.getgroups()})


def behind(command: Path) -> Path | None:
    """Return the interpreter that the first line of `command` names; None where that cannot be read."""
    try:
        with command.open("rb") as file:
            text = file.read(_FIRST_LINES)
    except OSError:
        return None
    found = _LONG.match(text) or _PLAIN.match(text)
    return Path(os.fsdecode(found[1])) if found else None


def obstacle(command: Path, user: User, homes: Sequence[str] = HOMES) -> tuple[str, str] | None:
    """Return what keeps `user` from running `command`, and the remedy; None where nothing is found."""
    python = behind(command)
    for path, what, remedy in ((command, "it", _ANOTHER_FOLDER), (python, "its Python", _ANOTHER_PYTHON)):
        if path is None:
            continue
        real = Path(os.path.realpath(path))
        blocked = next((one for one in _steps(path, real) if not _passable(one, user)), None)
        if blocked is None:
            continue
        if not blocked.exists():
            return f"{what} is {path}, and there is no {blocked}", "install again: ./start-server.sh --version"
        if home := _home(blocked, homes):
            return f"{what} is {real}, and this user may not enter the home {home}", remedy
        return f"{what} is {real}, and this user may not pass {blocked}", f"chmod 755 {blocked}"
    return None


def check(command: Path, homes: Sequence[str] = HOMES) -> Finding | None:
    """Return a note where the Python of this install stands in a home, which a service must not read."""
    real = os.path.realpath(behind(command) or command)
    if home := _home(Path(real), homes):
        what = f"{real} is in the home {home}: PHP's user, and the unit with ProtectHome=yes, cannot read it"
        return Finding("python", "note", what, _ANOTHER_PYTHON)
    return None


def _home(path: Path, homes: Sequence[str]) -> str:
    """Return the home that `path` is in; blank for none."""
    for home in homes:
        if path.is_relative_to(home):
            parts = Path(home).parts
            return home if home == "/root" else str(Path(*path.parts[: len(parts) + 1]))
    return ""


def _steps(*paths: Path) -> Iterator[Path]:
    """Yield every folder on the way to the files, from the root on, and each file."""
    for path in paths:
        yield from reversed(path.parents)
        yield path


def _passable(path: Path, user: User) -> bool:
    try:
        found = path.stat()
    except OSError:
        return False
    if user.uid == 0:
        return stat.S_ISDIR(found.st_mode) or bool(found.st_mode & 0o111)
    bit = stat.S_IXUSR if found.st_uid == user.uid else stat.S_IXGRP if found.st_gid in user.groups else stat.S_IXOTH
    return bool(found.st_mode & bit)
