"""The flags of every command of the house, made in one place: all settings, the env file, the demo.

What a command does with them is its own. Imports stay few: this is on the path of a process started for one click.
"""

import argparse
import sys
from typing import Any, Final

from sidecar.config.load import ENV_FILE
from sidecar.config.settings import SETTINGS, Setting
from sidecar.config.types import seconds
from sidecar.core.command_line import BAD_CONFIGURATION, Parser
from sidecar.core.errors import ConfigError, plain

PROGRAM: Final = "openai-moodle-sidecar"


def parser(command: str = "", *, description: str, epilog: str) -> Parser:
    """A parser for `command`; the program itself without one."""
    return Parser(
        prog=f"{PROGRAM} {command}".strip(),
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=description,
        epilog=epilog,
    )


def add_settings(to: Parser, *, demo: bool = True, explained: bool = False) -> None:
    """Every setting's flag and --env-file; --demo where answers are made. `explained`: in --help too."""
    if demo:
        to.add_argument("--demo", action="store_true", help="answer from a demo upstream inside; needs no key")
    to.add_argument("--env-file", metavar="FILE", help=f"a file of NAME=value lines (default: {ENV_FILE})")
    for setting in SETTINGS:
        bare: dict[str, Any] = {"nargs": "?", "const": "true"} if setting.default is False else {}
        words = _help(setting) if explained else argparse.SUPPRESS
        to.add_argument(setting.option, dest=setting.field, metavar="VALUE", help=words, **bare)


def refused(error: ConfigError, command: str = "") -> int:
    """Say on stderr what makes no sense; the exit code."""
    for fault in error.faults:
        sys.stderr.write(f"{PROGRAM} {command}".strip() + f": {fault}\n")
    return BAD_CONFIGURATION


def duration(flag: str, text: str) -> float:
    """The seconds that `flag` names, a week at most; raises `ConfigError`."""
    try:
        value: float = seconds(0, 604_800)(text)
    except ValueError as exc:
        raise ConfigError([f"{flag}={plain(text, 100)}: must be {exc}"]) from None
    return value


def _help(setting: Setting) -> str:
    variable = f"{setting.name}, or {setting.name}_FILE for a file that holds it" if setting.secret else setting.name
    default = "none" if setting.default in ("", {}) else str(setting.default).lower()
    if isinstance(setting.default, str) and setting.default:
        default = setting.default
    return f"{setting.help} (variable {variable}; default: {default})".replace("%", "%%")
