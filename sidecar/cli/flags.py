"""Flags that all commands share: every setting, the env file, the demo."""

import argparse
import sys
from collections.abc import Collection
from typing import Any

from sidecar.config.env_file import ENV_FILE
from sidecar.config.settings import SETTINGS
from sidecar.config.types import seconds
from sidecar.core.command_line import Parser
from sidecar.core.errors import ConfigError, plain
from sidecar.core.program import BAD_CONFIGURATION, PROGRAM


def parser(command: str = "", *, description: str, epilog: str, commands: Collection[str] = ()) -> Parser:
    """Return a parser for `command`, or for the program itself, with its `commands`, if `command` is blank."""
    return Parser(
        commands=commands,
        prog=f"{PROGRAM} {command}".strip(),
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter if command else _unasked,
        description=description,
        epilog=epilog,
    )


def _unasked(prog: str) -> argparse.HelpFormatter:
    """Return a formatter that does not ask for the terminal's width; `sidecar.cli.help` writes the program's help."""
    return argparse.HelpFormatter(prog, width=120)


def add_settings(target: Parser, *, demo: bool = True) -> None:
    """Add every setting's flag, --env-file and, if `demo`, --demo."""
    if demo:
        target.add_argument("--demo", action="store_true", help="answer from a demo provider inside; needs no key")
    target.add_argument("--env-file", metavar="FILE", help=f"a file of NAME=value lines (default: {ENV_FILE})")
    for setting in SETTINGS:
        bare: dict[str, Any] = {"nargs": "?", "const": "true"} if setting.default is False else {}
        target.add_argument(setting.option, dest=setting.field, metavar="VALUE", help=argparse.SUPPRESS, **bare)


def report_faults(error: ConfigError, command: str = "") -> int:
    """Write the faults of the settings to stderr; return the exit code."""
    for fault in error.faults:
        sys.stderr.write(f"{PROGRAM} {command}".strip() + f": {fault}\n")
    return BAD_CONFIGURATION


def duration(flag: str, text: str) -> float:
    """Parse the seconds that `flag` was given, a week at most; raise `ConfigError` if `text` is invalid."""
    try:
        value: float = seconds(0, 604_800)(text)
    except ValueError as exc:
        raise ConfigError([f"{flag}={plain(text, 100)}: must be {exc}"]) from None
    return value
