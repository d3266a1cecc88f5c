"""Command `openai-moodle-sidecar token new NAME`: makes a token, shows it once, and gives the lines for TOKENS_FILE."""

import fcntl
import os
import secrets
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from sidecar.cli.flags import parser
from sidecar.config.tokens import TABLE, hash_of, read_tokens
from sidecar.config.toml_file import short_name
from sidecar.core.command_line import Parser
from sidecar.core.errors import ConfigError, plain
from sidecar.core.program import BAD_CONFIGURATION, PROGRAM
from sidecar.stdio.descriptors import fill_missing

_COMMAND: Final = "token"
PREFIX: Final = "oms_"
"""Beginning of a token, so that people and scanners of secrets know one."""
_BYTES: Final = 32
"""Random bytes of a token: with so many its hash can stand in a file."""


def main(argv: list[str]) -> int:
    """Make a token; return 0, or 2 for a name or a file that makes no sense."""
    fill_missing()
    flags = _parser().read(argv)
    token = PREFIX + secrets.token_urlsafe(_BYTES)
    try:
        lines = _lines(flags["name"], token)
        where = f"Its lines in {flags['file']}" if flags["file"] else "Add this to the file of TOKENS_FILE"
        shown = f"The token, which is shown this once:\n\n{token}\n\n{where}:\n\n{lines}"
        if flags["file"]:
            _append(Path(flags["file"]), lines, flags["name"], shown)
        else:
            _show(shown)
    except ConfigError as exc:
        for fault in exc.faults:
            sys.stderr.write(f"{PROGRAM} {_COMMAND}: {fault}\n")
        return BAD_CONFIGURATION
    return 0


def _show(text: str) -> None:
    """Write the token to stdout."""
    if sys.__stdout__ is None:
        raise ConfigError(["stdout: the token cannot be shown (it is closed)"])
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as exc:
        # The interpreter's own flush at the end must find something open.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise ConfigError([f"stdout: the token cannot be shown ({exc.strerror})"]) from None


def _lines(name: str, token: str) -> str:
    try:
        short_name(name)
    except ValueError as exc:
        raise ConfigError([f"NAME={plain(name, 60)}: must be {exc}"]) from None
    return f'[[{TABLE}]]\nname = "{name}"\nhash = "{hash_of(token)}"\n'


def _append(path: Path, lines: str, name: str, shown: str) -> None:
    """Add `lines` to the file in one step, after `shown` is: a token that nobody has seen is of no use.

    A new file is its user's alone; an old one keeps mode and owner.
    """
    path = path.resolve()
    if path.exists() and not path.is_file():  # a device would be replaced, and a pipe waited for
        raise ConfigError([f"--file={plain(str(path), 200)}: must be a regular file"])
    try:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)  # two commands at a time would lose a token
            before = path.read_text("utf-8") if path.exists() else ""
            if before:
                _check(path, path, name)
            _replace(path, f"{before.rstrip()}\n\n{lines}" if before.strip() else lines, shown)
        finally:
            os.close(folder)
    except (OSError, UnicodeDecodeError) as exc:
        reason = (exc.strerror if isinstance(exc, OSError) else None) or "not UTF-8 text"
        raise ConfigError([f"--file={plain(str(path), 200)}: cannot be changed ({reason})"]) from None


def _check(text: Path, path: Path, name: str | None = None) -> None:
    """Raise `ConfigError` where the file `text`, which is or will be `path`, has mistakes, or the name already."""
    faults: list[str] = []
    found = read_tokens(str(text), faults)
    if any(token.name == name for token in found.tokens):
        faults.append(f"NAME={name}: the file has a token of that name; take another one, or remove that one first")
    if faults:
        raise ConfigError([fault.replace(str(text), str(path)) for fault in faults])


def _replace(path: Path, text: str, shown: str) -> None:
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # its mode is 0600
    try:
        with open(handle, "w", encoding="utf-8") as file:  # noqa: PTH123 - it is a descriptor
            with suppress(FileNotFoundError):
                old = path.stat()
                os.fchmod(handle, old.st_mode & 0o777)
                os.fchown(handle, old.st_uid, old.st_gid)
            file.write(text)
            file.flush()
            os.fsync(handle)
        _check(Path(temporary), path)  # it may have become too long, or have too many tokens
        _show(shown)
        Path(temporary).replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise


def _parser() -> Parser:
    made = parser(
        _COMMAND,
        description="Makes a token for a faculty, a course or a program, and prints it once: only its hash is kept.",
        epilog="The sidecar reads the file of TOKENS_FILE at its start and on SIGHUP. docs/tokens.md has its fields.",
    )
    made.add_argument("verb", choices=["new"], metavar="new", help="make a token")
    made.add_argument("name", metavar="NAME", help="its name in the file, in the log and in sentences")
    made.add_argument("--file", metavar="FILE", help="add its lines to this file, which may be new")
    return made
